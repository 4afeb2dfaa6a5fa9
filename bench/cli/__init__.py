"""What you type: parse, call, print. Nothing heavy is imported at the top."""

from bench.cli.main import app

__all__ = ["app"]
