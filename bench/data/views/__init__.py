"""What a model looks at: views of pictures, drawn by seed and put together in batches."""
