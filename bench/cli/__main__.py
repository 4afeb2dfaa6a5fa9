"""`python -m bench.cli`: the command, also where no script is installed."""

import os

from bench.cli.main import app

if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    app()
