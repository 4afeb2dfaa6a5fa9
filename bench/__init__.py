"""The harness: plan runs, execute those that are not done, record each, and make tables from records."""

__version__ = "0.1.0"
