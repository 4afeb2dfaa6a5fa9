"""The harness: plan runs, execute those that are not done, record each, and make tables from records."""

__version__ = "0.2.0.dev0"
