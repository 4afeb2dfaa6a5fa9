"""Runs on a Ray cluster: the driver, its workers, and what a run asks of a machine."""
