"""What you type: parse, call, print. Nothing heavy is imported at the top."""

from bench.core.collecting import collecting_later

with collecting_later():
    from bench.cli.main import app

__all__ = ["app"]
