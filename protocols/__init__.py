"""One protocol a file: which runs an experiment needs and which tables they make. Pure, without torch."""
