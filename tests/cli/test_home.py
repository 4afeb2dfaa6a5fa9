"""`~` is the home in every path that a command or Python takes: shells leave it as it is in `--csv=~/x`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.planning.files import weight_files
from bench.report.reference import folder_of
from bench.scoring.load import load
from tests.scoring.worlds import make_runs
from tests.world import toml_of


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    runtime, keys = make_runs(home, ("adapter",))
    (home / "bench.toml").write_text(f'[run]\ncache = "{home / "cache"}"\n' + toml_of(dict(runtime.data)))
    return home, runtime, keys["adapter", 0]


@pytest.fixture(autouse=True)
def at_home(world, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(world[0]))
    monkeypatch.chdir(tmp_path)


def bench(*words):
    result = CliRunner().invoke(app, [*words])
    assert result.exit_code == 0, result.stderr
    return result


def test_files_that_commands_read_and_write_lie_there(world):
    home, _, key = world
    bench("export", key, "--to", "~/it.safetensors", "--config", "~/bench.toml", "--results", "~/results")
    picture = str(home / "near" / "g0_0.png")
    bench("predict", picture, "--model", "~/it.safetensors", "--csv=~/out.csv", "--explain", "~/looked")
    bench("push", key, "--to", "~/folder", "--results", "~/results")
    bench("export", "~/it.safetensors", "--to", "~/again.safetensors")
    made = {"it.safetensors", "out.csv", "looked", "folder", "again.safetensors"}
    assert made <= {path.name for path in home.iterdir()}
    assert list(Path.cwd().iterdir()) == []


def test_plugins_lie_there(world):
    (world[0] / "gain.py").write_text(
        'from bench.models.method import Method\n\n\nclass Gain(Method):\n    "A."\n\n    title = "Gain"\n'
    )
    assert "gain" in bench("methods", "--plugin", "~/gain.py").stdout


def test_python_finds_models_weights_and_records_there(world):
    home, runtime, key = world
    bench("export", key, "--to", "~/it.safetensors", "--results", "~/results")
    scorer = load("~/it.safetensors", cache=runtime.cache, device="cpu")
    assert scorer.about.key == key
    assert weight_files(None, "~/it.safetensors")["cnn"] == home / "it.safetensors"
    assert folder_of("~/results") == home / "results"
