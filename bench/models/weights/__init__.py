"""Where weights come from, and how their files are read and checked."""
