"""`bench import pyiqa:METRIC`: a metric of a toolbox that the user has, here a stand-in with the same interface."""

import csv
import sys
from types import SimpleNamespace

import pytest
import torch

from bench.cli.console import DEBUG
from bench.records.results import Results
from bench.records.store import Store
from tests.cli.test_import import bench
from tests.world import make_world, toml_of

SEEN = []


class Noise:
    """Mean difference of neighbours: it grows with the noise, so a low score is a good picture."""

    lower_better = True

    def __call__(self, pictures):
        SEEN.append((tuple(pictures.shape), float(pictures.min()), float(pictures.max())))
        return (pictures[..., 1:] - pictures[..., :-1]).abs().mean(dim=(1, 2, 3), keepdim=True)


class Broken(Noise):
    def __call__(self, pictures):
        raise RuntimeError("kernel size is larger than the picture")


class Undefined(Noise):
    def __call__(self, pictures):
        return torch.tensor([float("nan")])


METRICS = {"noise": Noise, "broken": Broken, "undefined": Undefined}


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "bench.toml").write_text(toml_of(make_world(tmp_path / "sets")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path / "cache"))
    DEBUG["on"] = False
    SEEN.clear()
    return tmp_path


@pytest.fixture
def pyiqa(monkeypatch):
    def list_models(metric_mode):
        assert metric_mode == "NR"
        return sorted(METRICS)

    def create_metric(name, device):
        assert device == "cpu"
        return METRICS[name]()

    monkeypatch.setitem(sys.modules, "pyiqa", SimpleNamespace(list_models=list_models, create_metric=create_metric))


def take_in(metric, *words):
    return bench("import", f"pyiqa:{metric}", "--on", "near", "--preset", "demo", "--device", "cpu", *words)


def test_a_metric_scores_whole_pictures_and_points_its_own_way(home, pyiqa):
    done = take_in("noise")
    assert done.exit_code == 0, done.output
    assert "external:pyiqa-noise: 24 of 24 pictures of near scored; a low score is a good picture" in done.output
    assert {shape for shape, _, _ in SEEN} == {(1, 3, 40, 48)}
    assert all(0 <= low < high <= 1 for _, low, high in SEEN)
    records = Results.read(Store(home / "results")).records
    assert {record.spec.method for record in records} == {"external:pyiqa-noise"}
    assert all(record.value("near:test", "srcc") > 0.8 for record in records)
    assert "noise of whole pictures at their own size" in records[0].section("external")["remark"]


def test_its_scores_are_kept_and_need_not_be_made_again(home, pyiqa):
    take_in("noise")
    kept = home / "results/external/pyiqa-noise_near.csv"
    with kept.open() as file:
        assert len(list(csv.DictReader(file))) == 24
    remark = Results.read(Store(home / "results")).records[0].section("external")["remark"]
    SEEN.clear()
    words = ("--name", "pyiqa-noise", "--on", "near", "--preset", "demo", "--lower-is-better", "--remark", remark)
    assert "3 places held these very scores already." in bench("import", kept, *words).output
    assert not SEEN


def test_a_table_names_it_beside_its_footnote(home, pyiqa):
    take_in("noise", "--name", "noise")
    assert bench("table", "main").exit_code == 0
    text = (home / "results/tables/main_demo.md").read_text()
    assert "noise (external)" in text
    assert ": noise of whole pictures at their own size." in text


@pytest.mark.parametrize(
    ("metric", "code", "said"),
    [
        ("niose", 2, "pyiqa has no no-reference metric 'niose'. Did you mean noise?"),
        ("broken", 1, "g0_0.png: RuntimeError: kernel size is larger than the picture"),
        ("undefined", 1, "pyiqa:undefined gives no finite number for 24 of 24: g0_0.png, g0_1.png"),
    ],
)
def test_what_pyiqa_lacks_or_cannot_score_is_said_in_a_line(home, pyiqa, metric, code, said):
    done = take_in(metric)
    assert done.exit_code == code, done.output
    assert said in done.output
    assert not (home / "results" / "runs").exists()


def test_without_pyiqa_it_says_what_is_missing_and_under_which_licence(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    done = take_in("noise")
    assert done.exit_code == 2
    assert "pyiqa:noise needs pyiqa" in done.output
    assert "PolyForm Noncommercial" in done.output


def test_what_does_not_go_together_is_refused(home, pyiqa):
    assert "leave out --lower-is-better" in take_in("noise", "--lower-is-better").output
    assert "--name NAME says" in bench("import", "theirs.csv", "--on", "near").output
    done = bench("run", "-m", "pyiqa:noise", "--preset", "demo")
    assert done.exit_code == 2
    assert "bench import pyiqa:METRIC --on DATASET" in done.output
