"""Datasets made of distorted pictures."""
