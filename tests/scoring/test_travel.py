"""Models that travel: a file scores as its run did, and one that is not what it says is refused with the reason."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError, WeightsError
from bench.records.store import Store
from bench.scoring.card import measured
from bench.scoring.load import load, load_scorer
from bench.scoring.model_file import KIND, read_model, write_model
from bench.scoring.runs import run_of_key
from bench.scoring.scorer import Scorer
from tests.scoring.worlds import METHODS, make_runs
from tests.world import toml_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("travel")
    runtime, keys = make_runs(home)
    (home / "bench.toml").write_text(f'[run]\ncache = "{home / "cache"}"\n' + toml_of(dict(runtime.data)))
    return home, runtime, {method: keys[method, 0] for method in METHODS}


@pytest.fixture
def home(made, monkeypatch):
    monkeypatch.chdir(made[0])
    return made[0]


def bench(*words):
    return CliRunner().invoke(app, [*map(str, words)])


def exported(made, to: Path, method: str = "glia") -> Path:
    _, runtime, keys = made
    scorer = load_scorer(keys[method], runtime)
    write_model(to, scorer.about, scorer.model.trainable_state())
    return to


def rewritten(path: Path, to: Path, *, header=None, tensors=None) -> Path:
    """The same file with another header or other tensors, as somebody's editor would leave it."""
    with safe_open(str(path), "pt") as opened:
        about = dict(opened.metadata())
    save_file(tensors or load_file(path), to, metadata=about | (header or {}))
    return to


@pytest.mark.parametrize("method", METHODS)
def test_a_model_file_scores_as_its_run_does_without_records_and_data(made, home, tmp_path, method):
    _, runtime, keys = made
    file = tmp_path / "it.safetensors"
    result = bench("export", keys[method], "--to", file)
    assert result.exit_code == 0, result.stderr
    assert f"bench predict PICTURES --model {file}" in result.stderr
    pictures = sorted((home / "far").glob("*.png"))[:4]
    elsewhere = load(file, results=tmp_path / "none", cache=runtime.cache, device="cpu")
    run = load_scorer(keys[method], runtime)
    assert elsewhere(pictures).tolist() == run(pictures).tolist()
    assert elsewhere.scale == run.scale
    assert file.stat().st_size < 1_000_000, "the backbone is not in it"


def test_bench_load_in_python_scores_as_the_command_does(made, home):
    from bench import load as loaded

    _, runtime, keys = made
    pictures = sorted((home / "far").glob("*.png"))[:2]
    scores = loaded(keys["adapter"], folder=runtime.results, device="cpu")(pictures)
    assert scores.tolist() == load_scorer(keys["adapter"], runtime)(pictures).tolist()
    with pytest.raises(UsageError, match="there is no run|no run"):
        loaded("ffffffff", folder=runtime.results)


def test_the_header_says_all_that_the_model_is(made, tmp_path):
    about, _ = read_model(exported(made, tmp_path / "it.safetensors"))
    assert about.spec.method == "glia"
    assert about.views["detail"].startswith("View(kind='fragments'")
    assert about.normalisation[0] == (0.485, 0.456, 0.406) or about.normalisation[0] == [0.485, 0.456, 0.406]
    assert "near:test" in about.metrics
    assert about.weights.startswith(f"{about.spec.backbone}=")
    assert about.versions["timm"]
    assert any("near" in line for line in about.licences)


@pytest.mark.parametrize("what", ["tensor", "header", "bytes", "short"])
def test_a_model_file_that_was_changed_is_refused(made, tmp_path, what):
    file = exported(made, tmp_path / "it.safetensors")
    if what == "tensor":
        tensors = load_file(file)
        name = next(iter(tensors))
        tensors[name] = tensors[name] + 1
        rewritten(file, file, tensors=tensors)
    elif what == "header":
        with safe_open(str(file), "pt") as opened:
            text = opened.metadata()[KIND]
        rewritten(file, file, header={KIND: text.replace('"split": 0', '"split": 1')})
    else:
        data = bytearray(file.read_bytes())
        data[-5] ^= 1
        file.write_bytes(data if what == "bytes" else data[:-40])
    with pytest.raises(WeightsError, match="changed or damaged|no whole safetensors"):
        load(file)


def test_a_file_of_tensors_that_is_no_model_is_told_apart(made, tmp_path):
    file = exported(made, tmp_path / "it.safetensors")
    save_file(load_file(file), tmp_path / "plain.safetensors")
    with pytest.raises(WeightsError, match="no model of glia-bench"):
        load(tmp_path / "plain.safetensors")
    (tmp_path / "text.safetensors").write_text("{}")
    with pytest.raises(WeightsError, match="no whole safetensors"):
        load(tmp_path / "text.safetensors")


def test_a_backbone_of_other_weights_is_refused(made, tmp_path):
    _, runtime, keys = made
    scorer = load_scorer(keys["glia"], runtime)
    other = replace(scorer.about, weights=f"{scorer.about.spec.backbone}=0123")
    write_model(tmp_path / "it.safetensors", other, scorer.model.trainable_state())
    with pytest.raises(WeightsError, match=r"stands on the networks test_vit\.\S+=0123, and here they are"):
        load(tmp_path / "it.safetensors", cache=runtime.cache, device="cpu")


def test_parameter_names_of_another_timm_are_refused_with_both_versions(made, tmp_path):
    _, runtime, keys = made
    scorer = load_scorer(keys["adapter"], runtime)
    renamed = {f"{name}_then": tensor for name, tensor in scorer.model.trainable_state().items()}
    older = replace(scorer.about, versions={**scorer.about.versions, "timm": "0.4.12"})
    write_model(tmp_path / "it.safetensors", older, renamed)
    with pytest.raises(WeightsError, match=r"other names or shapes.*It was made with timm 0\.4\.12, here "):
        load(tmp_path / "it.safetensors", cache=runtime.cache, device="cpu")


def test_a_model_of_other_code_of_its_method_is_refused(made, tmp_path):
    _, runtime, keys = made
    scorer = load_scorer(keys["adapter"], runtime)
    for change in ({"code": "0" * 20}, {"numerics": 0}):
        write_model(tmp_path / "it.safetensors", replace(scorer.about, **change), scorer.model.trainable_state())
        with pytest.raises(WeightsError, match="another version of the method adapter"):
            load(tmp_path / "it.safetensors", cache=runtime.cache, device="cpu")


def test_a_method_that_is_not_here_asks_for_its_plugin(made, tmp_path):
    _, runtime, keys = made
    scorer = load_scorer(keys["linear_probe"], runtime)
    spec = replace(scorer.about.spec, method="my_own")
    write_model(tmp_path / "it.safetensors", replace(scorer.about, spec=spec), scorer.model.trainable_state())
    with pytest.raises(UsageError, match="--plugin FILE"):
        load(tmp_path / "it.safetensors", cache=runtime.cache, device="cpu")


def test_a_pushed_folder_holds_weights_config_and_a_card_of_what_was_measured(made, home, tmp_path):
    _, runtime, keys = made
    result = bench("push", keys["glia"], "--to", tmp_path / "sharp")
    assert result.exit_code == 0, result.stderr
    card = (tmp_path / "sharp" / "README.md").read_text()
    record = run_of_key(Store(runtime.results), keys["glia"])
    srcc = record.value("near:test", "srcc")
    assert card.startswith("---\nlibrary_name: glia-bench\n")
    assert f"| near:test | SRCC | {srcc:.3f} |" in card
    for part in ("random weights", "Split | 0", "How to load it", "Limits", "Licences", record.key):
        assert part in card
    config = json.loads((tmp_path / "sharp" / "config.json").read_text())
    assert config["spec"]["method"] == "glia"
    assert isinstance(load(tmp_path / "sharp", cache=runtime.cache, device="cpu"), Scorer)


def test_intervals_of_a_card_come_from_the_stored_predictions(made, monkeypatch):
    from bench.records.results import Predictions, Record

    _, runtime, keys = made
    record = run_of_key(Store(runtime.results), keys["glia"])
    random = np.random.RandomState(0)
    human = random.normal(size=60)
    names = np.array([f"p{i}" for i in range(60)])
    stored = Predictions(names, human, human + random.normal(size=60), names)
    monkeypatch.setattr(Record, "predictions", lambda self, target: stored)
    srcc = next(one for one in measured(record) if one.metric == "srcc")
    assert srcc.low is not None
    assert 0.3 < srcc.low < srcc.high < 1
    assert srcc.pictures == 60


class Hub:
    """Stands in for the hub: what would be uploaded, and what it says to strangers."""

    made: dict = {}
    refuses = ""

    def create_repo(self, name, **options):
        if Hub.refuses:
            raise RuntimeError(Hub.refuses)
        Hub.made = {"name": name, **options}
        return f"hub/{name}"

    def upload_folder(self, *, folder_path, allow_patterns, **_):
        Hub.made["files"] = sorted(p.name for p in Path(folder_path).iterdir() if p.name in allow_patterns)


def test_nothing_is_uploaded_unless_asked_and_then_the_three_files_only(made, home, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "HfApi", Hub)
    key, folder = made[2]["adapter"], tmp_path / "it"
    Hub.made, Hub.refuses = {}, ""
    folder.mkdir()
    (folder / "private.txt").write_text("not for others")
    assert bench("push", key, "--to", folder).exit_code == 0
    assert Hub.made == {}
    result = bench("push", key, "--to", folder, "--hub", "me/sharp")
    assert result.exit_code == 0, result.stderr
    assert (Hub.made["name"], Hub.made["private"]) == ("me/sharp", True)
    assert Hub.made["files"] == ["README.md", "config.json", "model.safetensors"]
    Hub.refuses = "401 who are you?"
    result = bench("push", key, "--to", folder, "--hub", "me/sharp")
    assert result.exit_code == 1
    assert "401 who are you? (hf auth login says who you are)" in result.stderr


def test_wrong_formats_and_places_are_refused_before_any_work(made, home, tmp_path):
    key = made[2]["adapter"]
    assert "neither safetensors nor onnx" in bench("export", key, "--to", tmp_path / "x", "--format", "pth").stderr
    assert "is a folder" in bench("export", key, "--to", tmp_path).stderr
    assert "There is no run" in bench("export", "feedbeef", "--to", tmp_path / "x").stderr
    shutil.rmtree(tmp_path / "none", ignore_errors=True)
    assert "no results folder" in bench("push", key, "--to", tmp_path / "y", "--results", tmp_path / "none").stderr
