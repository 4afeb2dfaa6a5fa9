"""A working folder with small sets of its own."""

import pytest

from bench.cli.console import DEBUG
from tests.world import make_world, toml_of


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "bench.toml").write_text(toml_of(make_world(tmp_path / "sets")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path / "cache"))
    DEBUG["on"] = False
    return tmp_path
