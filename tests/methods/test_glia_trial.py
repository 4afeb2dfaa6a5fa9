"""GLIA's trial: as it comes it is GLIA to the bit, and each switch changes what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.core.registry import METHODS, add_plugin_file
from bench.core.spec import Recipe
from bench.models.weights.load import WeightlessToolbox
from bench.records.results import Results
from bench.records.store import Store
from bench.report.arms import arm_of
from bench.report.compare import compare
from bench.report.reference import FOLDER
from bench.training.run import make_run
from benchmarks.trial_table import PAGE, TRIAL, page_of, rows_of
from tests.core.plugins import TINY_OPTIONS
from tests.methods.vits import small_vit
from tests.world import make_world, tiny_runtime, tiny_spec

PLUGIN = Path(__file__).parents[2] / "benchmarks" / "glia_trial.py"
README = Path(__file__).parents[2] / "README.md"
SMALL = {"grid": 2, "fragment": 32, "rank": 16}


@pytest.fixture(autouse=True)
def _registered():
    add_plugin_file(PLUGIN)


def model(**options):
    torch.manual_seed(0)
    return METHODS.make("glia_trial", SMALL | options).build(small_vit(), Recipe(size=64), WeightlessToolbox())


def scores(home: Path, method: str, **options) -> np.ndarray:
    spec = tiny_spec(method, options=TINY_OPTIONS | options)
    _, arrays = make_run(spec, tiny_runtime(home, make_world(home / f"{method}{len(options)}")))
    return arrays["near:test/predicted"]


def test_as_it_comes_it_is_glia_to_the_bit(tmp_path):
    assert np.array_equal(scores(tmp_path, "glia"), scores(tmp_path, "glia_trial"))


@pytest.mark.parametrize("switch", [{"seen": "crop"}, {"scale_start": "one"}, {"head_start": "short"}])
def test_a_switch_makes_another_model(tmp_path, switch):
    assert not np.array_equal(scores(tmp_path, "glia_trial"), scores(tmp_path, "glia_trial", **switch))


def test_guidance_may_be_kept_in_full_precision():
    assert not model().features.frozen["guide"].exact
    assert model(kept="full").features.frozen["guide"].exact


def test_the_factors_may_start_at_one_and_the_head_short():
    started = model(scale_start="one", head_start="short")
    assert all(bool((block.scale == 1).all()) for block in started.features.blocks.values())
    assert started.head.weight.norm().item() == pytest.approx(0.1)
    assert model().head.weight.norm().item() == pytest.approx(1)


def test_the_adapter_on_fragments_sees_glias_fragments_and_nothing_else():
    recipe = Recipe(size=64)
    views = METHODS.make("adapter_on_fragments", {"grid": 2, "fragment": 32}).views(recipe)
    assert views == {"crop": METHODS.make("glia", SMALL).views(recipe)["detail"]}


def test_the_committed_table_is_what_the_committed_records_say():
    page = page_of(Results.read(Store(FOLDER)), Results.read(Store(TRIAL)))
    assert PAGE.read_text(encoding="utf-8") == page
    assert page.count("\n| ") > 2


def test_the_readme_says_of_fragments_what_the_committed_records_say():
    study, trial = Results.read(Store(FOLDER)), Results.read(Store(TRIAL))
    rows = {row[0]: row for row in rows_of(study, trial)}
    for name, rate in (("Adapter on fragments", 0.001), ("Adapter on fragments, lr=0.003", 0.003)):
        at_rate = [one for one in (*study.records, *trial.records) if one.spec.recipe.lr == rate]
        (against_crops,) = compare(Results(at_rate), "adapter_on_fragments", "adapter")
        over = against_crops.rows[0].contents
        on_crops = f"{over.estimate:.3f} [{over.low:.3f}, {over.high:.3f}]"
        mean, to_glia = rows[name][1].split()[0], rows[name][3].replace("+", "").replace("-", "−")
        said = f"reaches {mean}, ahead of the adapter on crops by {on_crops} and of GLIA by {to_glia}."
        assert said.replace("0.", ".") in README.read_text(encoding="utf-8")


def test_the_readme_says_of_glia_at_the_adapters_rate_what_the_committed_records_say():
    study, trial = Results.read(Store(FOLDER)), Results.read(Store(TRIAL))
    at_rate = trial.select(preset="study", train="study").where(lambda one: one.spec.recipe.lr == 0.003)
    two = at_rate.where(lambda one: one.spec.method == "adapter_on_fragments" or not arm_of(one.spec).option_changes())
    (ahead,) = compare(two, "adapter_on_fragments", "glia_trial")
    over = ahead.rows[0].contents
    mean = {row[0]: row for row in rows_of(study, trial)}["GLIA (trial), lr=0.003"][1].split()[0]
    said = f"GLIA at that rate reaches {mean}, {over.estimate:.3f} [{over.low:.3f}, {over.high:.3f}] behind it."
    assert said.replace("0.", ".").replace("-", "−") in README.read_text(encoding="utf-8")


def test_twice_the_epochs_are_told_from_glia_once_all_rows_are_looked_at_and_the_readme_says_so():
    _, *others = rows_of(Results.read(Store(FOLDER)), Results.read(Store(TRIAL)))
    (told,) = (row for row in others if float(row[4]) < 0.05)
    assert told[0] == "GLIA (trial), epochs=6, lr=0.003"
    readme = README.read_text(encoding="utf-8")
    assert f"once all {sum(row[4] != '–' for row in others)} rows are looked at (Holm)" in readme
    said = f"reaches {told[1].split()[0]}, {told[3].replace(' [+', ' [').replace(', +', ', ')}."
    assert said.replace("0.", ".") in readme


def test_glia_made_again_on_another_processor_is_glia_and_no_row():
    study, trial = Results.read(Store(FOLDER)), Results.read(Store(TRIAL))
    assert "GLIA (trial)" not in [row[0] for row in rows_of(study, trial)]
    first, again = (found.select(preset="study", train="study", seed=0) for found in (study, trial))
    printed = {one.spec.split: one for one in first.records if one.spec.method == "glia"}
    same = [
        one
        for one in again.records
        if one.spec.method == "glia_trial"
        and one.value("study:test", "srcc")
        == pytest.approx(printed[one.spec.split].value("study:test", "srcc"), abs=1e-9)
    ]
    assert {one.spec.split for one in same} == set(range(7))
