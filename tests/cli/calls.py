"""The command called in this process, and runs so small that a test can make some."""

from typer.testing import CliRunner

from bench.cli import app
from tests.world import RECIPE, TINY

RECIPE_FLAGS = [word for key, value in RECIPE.items() for word in ("--set", f"{key}={value}")]

SEARCH_FLAGS = [word for key, value in RECIPE.items() if key != "lr" for word in ("--set", f"{key}={value}")]
"""The same for a search, which has rates of its own."""

GLIA_FLAGS = [word for key in ("grid=2", "fragment=16", "rank=8", "heads=2") for word in ("--set", f"glia.{key}")]


TINY_FLAGS = ["--backbone", TINY, "--weights", "random", "--preset", "demo", "--device", "cpu", *RECIPE_FLAGS]


def bench(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def tiny_run(*words, methods="glia,linear_probe"):
    flags = GLIA_FLAGS if "glia" in methods else []
    return bench("run", "-m", methods, "-p", "main", "-d", "near", "--splits", 2, *TINY_FLAGS, *flags, *words)
