"""The datasets, one a file: a new file is a new name."""
