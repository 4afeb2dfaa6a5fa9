"""From a folder of label files and pictures to a table."""
