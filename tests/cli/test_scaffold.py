"""`bench new`: what it writes works as written."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench.cli.skeletons import new_package
from bench.core.errors import UsageError
from tests.world import RECIPE, TINY, make_set, make_world, toml_of

ROOT = Path(__file__).resolve().parent.parent.parent


def python(*words, path, cwd, **more):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"} | more
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("kind", ["method", "protocol", "dataset"])
def test_a_new_package_is_python_with_an_entry_point_a_module_and_a_test(kind, tmp_path):
    paths = new_package(kind, "my_idea", tmp_path)
    assert {path.name for path in paths} == {"pyproject.toml", "bench_my_idea.py", "test_bench_my_idea.py"}
    for path in paths:
        if path.suffix == ".py":
            compile(path.read_text(), str(path), "exec")
        assert "$" not in path.read_text()


@pytest.mark.parametrize("name", ["My-Idea", "1st", "class", "", "a b", "../up"])
def test_names_that_are_no_module_names_are_refused(name, tmp_path):
    with pytest.raises(UsageError, match="no name"):
        new_package("method", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("method", "none", "a class None"),
        ("dataset", "true", "a class True"),
        ("method", "view_feature", "a class ViewFeature"),
        ("dataset", "place", "a class Place"),
        ("method", "a_", "end with a letter"),
    ],
)
def test_names_of_which_no_working_package_would_come_are_refused(kind, name, why, tmp_path):
    with pytest.raises(UsageError, match=why):
        new_package(kind, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    new_package("method", "my_idea", tmp_path)
    with pytest.raises(UsageError, match="exists already"):
        new_package("method", "my_idea", tmp_path)


@pytest.mark.slow
def test_a_new_dataset_passes_its_own_test_and_works_from_its_file(tmp_path):
    home = new_package("dataset", "my_idea", tmp_path)[0].parent
    tested = python("-m", "pytest", "-q", home, path=[home, ROOT], cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout
    pictures = make_set(tmp_path / "my_idea", seed=1)
    labels = (pictures / "labels.csv").read_text()
    (pictures / "scores.csv").write_text(labels)
    (tmp_path / "bench.toml").write_text(f'[data]\nroot = "{tmp_path}"\n')
    words = ("-m", "bench.cli", "data", "check", "my_idea", "--plugin", home / "bench_my_idea.py")
    assert python(*words, path=[ROOT], cwd=tmp_path).returncode == 0
    prepare = (*words[:3], "prepare", *words[4:])
    cache = {"GLIA_BENCH_CACHE": str(tmp_path / "cache")}
    prepared = python(*prepare, path=[ROOT], cwd=tmp_path, **cache)
    assert prepared.returncode == 0, prepared.stderr
    assert "24 pictures ready" in prepared.stderr + prepared.stdout
    for wrong in (labels.replace("5.0", "good", 1), labels.replace("score", "points"), labels.replace("5.0", "nan", 1)):
        (pictures / "scores.csv").write_text(wrong)
        checked = python(*words, path=[ROOT], cwd=tmp_path)
        assert (checked.returncode, "scores.csv" in checked.stdout) == (1, True), checked.stderr


def test_a_new_protocol_passes_its_own_test(tmp_path):
    home = new_package("protocol", "my_idea", tmp_path)[0].parent
    known_as_if_installed(home)
    tested = python("-m", "pytest", "-q", home, path=[home, ROOT], cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout


def known_as_if_installed(home):
    """Let the package's entry point be found, as pip would by its metadata."""
    written = tomllib.loads((home / "pyproject.toml").read_text())["project"]
    ((group, names),) = written["entry-points"].items()
    ((name, target),) = names.items()
    facts = home / f"{home.name.replace('-', '_')}-0.1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {written['name']}\nVersion: 0.1.0\n")
    (facts / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")


@pytest.mark.slow
def test_a_new_method_protocol_and_dataset_go_together_from_plan_to_table(tmp_path):
    """All three skeletons at once: a run of the method, on the dataset, as the protocol plans it, and its table."""
    plugins = []
    for kind in ("method", "protocol", "dataset"):
        home = new_package(kind, f"my_{kind}", tmp_path)[0].parent
        plugins += ["--plugin", home / f"bench_my_{kind}.py"]
    pictures = make_set(tmp_path / "my_dataset", seed=1)
    (pictures / "scores.csv").write_text((pictures / "labels.csv").read_text())
    (tmp_path / "bench.toml").write_text(f'[data]\nroot = "{tmp_path}"\n')
    flags = [word for key, value in RECIPE.items() if key != "epochs" for word in ("--set", f"{key}={value}")]
    run = python(
        "-m", "bench.cli", "run", "-m", "my_method", "-p", "my_protocol", "-d", "my_dataset", "--splits", 2,
        "--preset", "demo", "--backbone", TINY, "--weights", "random", *flags, *plugins, path=[ROOT], cwd=tmp_path,
        GLIA_BENCH_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "2 done, 0 failed. Next: bench table my_protocol" in run.stderr
    table = python("-m", "bench.cli", "table", "my_protocol", "--notes", *plugins, path=[ROOT], cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    for shown in ("Demo. My protocol", "My method (", "My dataset", "Medians over 2 of 3 splits."):
        assert shown in table.stdout
    assert (tmp_path / "results" / "tables" / "my_protocol_demo.tex").exists()


def test_a_new_protocol_says_so_where_no_set_is_configured(tmp_path):
    plugin = new_package("protocol", "my_idea", tmp_path)[0].parent / "bench_my_idea.py"
    words = ("run", "-p", "my_idea", "--preset", "paper", "--dry-run", "--plugin", plugin)
    run = python("-m", "bench.cli", *words, path=[ROOT], cwd=tmp_path)
    assert run.returncode == 2
    assert "Protocol my_idea: none of its sets is configured" in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["method", "protocol", "dataset"])
def test_a_new_package_is_built_installed_tested_and_found(kind, tmp_path):
    home = new_package(kind, "my_idea", tmp_path)[0].parent
    site = tmp_path / "site"
    installed = python("-m", "pip", "install", "-q", "--no-deps", "--target", site, home, path=[], cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    tested = python("-m", "pytest", "-q", home, path=[site, ROOT], cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout
    listed = python("-m", "bench.cli", f"{kind}s", path=[site, ROOT], cwd=tmp_path)
    assert "my_idea" in listed.stdout
    assert "glia-bench-my-idea" in listed.stdout.replace("\n", "")


@pytest.mark.slow
def test_a_new_method_runs_from_its_installed_package(tmp_path):
    home = new_package("method", "my_idea", tmp_path)[0].parent
    site = tmp_path / "site"
    python("-m", "pip", "install", "-q", "--no-deps", "--target", site, home, path=[], cwd=tmp_path)
    (tmp_path / "bench.toml").write_text(toml_of(make_world(tmp_path / "sets")))
    flags = [word for key, value in RECIPE.items() for word in ("--set", f"{key}={value}")]
    run = python(
        "-m", "bench.cli", "run", "-m", "my_idea", "-p", "main", "-d", "near", "--splits", 1, "--preset", "demo",
        "--backbone", TINY, "--weights", "random", *flags, path=[site, ROOT], cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    table = python("-m", "bench.cli", "table", "main", path=[site, ROOT], cwd=tmp_path)
    assert "My idea" in table.stdout
