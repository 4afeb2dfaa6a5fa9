"""Datasets, splits, pixels and views: everything between a folder of pictures and a batch."""
