"""What `import bench` offers: the commands as functions that give pandas DataFrames. docs/python.md promises it."""
