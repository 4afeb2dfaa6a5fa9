"""One fine-tuning strategy a file; the registry finds every module of this package by its name."""
