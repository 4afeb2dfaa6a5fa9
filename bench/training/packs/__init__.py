"""Runs that are trained together."""
