"""A model of several sets scores raw, or on the scale of the one that is asked for."""

from pathlib import Path

import numpy as np
import pytest

from bench.cli.predictions import Wish, predict_pictures
from bench.core.errors import UsageError
from bench.core.spec import RunSpec
from bench.records.store import Store
from bench.scoring.load import load_scorer
from bench.scoring.model_file import write_model
from bench.scoring.runs import best_of
from bench.training.run import make_run
from bench.training.states import read_trained
from tests.world import make_world, tiny_runtime, tiny_spec

MIX = "far+near"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(runtime, key) of a run on two sets, the one's scores ten times the other's."""
    home = tmp_path_factory.mktemp("mix")
    data = make_world(home)
    labels = home / "far" / "labels.csv"
    head, *rows = labels.read_text().splitlines()
    scaled = [f"{name},{10 * float(score)},{group}" for name, score, group in (row.split(",") for row in rows)]
    labels.write_text("\n".join([head, *scaled]) + "\n")
    runtime = tiny_runtime(home, data)
    plain = tiny_spec("lora").as_dict() | {"train": MIX, "tests": ["far:test", "near:test"]}
    spec = RunSpec.from_dict(plain)
    Store(runtime.results).write(*make_run(spec, runtime))
    return runtime, spec.key


def pictures(runtime):
    return sorted(Path(runtime.data["near"]["path"]).glob("*.png"))


def test_without_a_scale_a_model_of_several_sets_scores_raw_and_says_how_to_choose(made, capsys):
    runtime, key = made
    scorer = load_scorer(key, runtime)
    assert scorer.scale is None
    assert np.array_equal(scorer(pictures(runtime)), scorer.raw(pictures(runtime)))
    assert predict_pictures(Wish((str(pictures(runtime)[0]),), runs=(key,)), runtime) == 0
    assert "raw, higher is better (it learned far and near, which have no scale in common: --scale far or" in (
        capsys.readouterr().err.replace("\n", " ")
    )


def test_on_the_scale_of_each_set_its_own_pictures_decide(made):
    runtime, key = made
    far, near = (load_scorer(key, runtime, scale=name) for name in ("far", "near"))
    assert (far.scale.dataset, near.scale.dataset) == ("far", "near")
    assert far.scale.high > 40 > 6 > near.scale.high
    raw = far.raw(pictures(runtime))
    assert np.array_equal(raw, near.raw(pictures(runtime)))
    for scorer in (far, near):
        assert np.array_equal(np.argsort(scorer.on_scale(raw), kind="stable"), np.argsort(raw, kind="stable"))


def test_each_scale_is_fitted_once_and_kept_beside_the_other(made):
    runtime, key = made
    found = {name: load_scorer(key, runtime, scale=name).scale for name in ("far", "near")}
    kept = read_trained(next((runtime.results / "states").glob("*.safetensors"))).about
    assert {"scale far", "scale near"} <= set(kept)
    assert load_scorer(key, runtime, scale="far").scale == found["far"]


def test_a_scale_of_a_set_that_was_not_learned_is_refused(made):
    runtime, key = made
    with pytest.raises(UsageError, match=r"--scale koniq10k: .* did not learn koniq10k"):
        load_scorer(key, runtime, scale="koniq10k")


def test_a_model_file_knows_the_scale_that_it_was_written_with_and_no_other(made, tmp_path):
    runtime, key = made
    scorer = load_scorer(key, runtime, scale="near")
    write_model(tmp_path / "m.safetensors", scorer.about, scorer.model.trainable_state())
    assert load_scorer(tmp_path / "m.safetensors", runtime, scale="near").scale == scorer.scale
    with pytest.raises(UsageError, match=rf"knows that of near: `bench export {key} --scale far` writes"):
        load_scorer(tmp_path / "m.safetensors", runtime, scale="far")


def test_a_mix_has_a_best_model_by_its_own_sets_test_parts(made):
    runtime, key = made
    best = best_of(Store(runtime.results), MIX)
    assert best.records[0].key == key
    assert best.tested_on == "far's test part, near's test part"
