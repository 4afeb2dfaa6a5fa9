"""Rates of GLIA's trial: what its searches tried is kept, and the page says which rate did best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.core.registry import add_plugin_file
from bench.planning.presets import preset_named
from bench.planning.tuning import Search, candidates
from bench.records.results import Record, Results
from bench.records.store import Store
from bench.report.reference import FOLDER
from benchmarks.trial_rates import KEPT, RATES_PAGE, Scores, best_rate, own_rows, page_of, searched
from benchmarks.trial_table import TRIAL
from tests.report.records import body_of

PLUGIN = Path(__file__).parents[2] / "benchmarks" / "glia_trial.py"


@pytest.fixture(autouse=True)
def _registered():
    add_plugin_file(PLUGIN)


def store_of(folder: Path, scores: dict[float, list[float | None]], **search) -> Store:
    """A store in which a search's runs scored this, by rate and split; None is a run that failed."""
    store = Store(folder)
    store.ready()
    preset = preset_named("study")
    asked = Search("glia_trial", preset.tuning, preset, 3, tuple(scores), **search)
    for candidate in candidates(asked):
        score = scores[candidate.settings["lr"]][candidate.split]
        error = ("Diverged", "loss is nan") if score is None else None
        metrics = {} if error else {candidate.spec.tests[0]: {"srcc": score}}
        store.write(body_of(candidate.spec, error=error, metrics=metrics), {})
    return store


def test_every_change_has_its_rates_in_order_with_a_score_for_each_split(tmp_path):
    store_of(tmp_path, {0.01: [0.1, None, 0.3], 0.001: [0.4, 0.5, 0.6]}, options={"seen": "crop"})
    store = store_of(tmp_path, {0.001: [0.1, 0.2, 0.3]}, recipe={"epochs": 6})
    assert searched(store) == {
        "GLIA (trial), seen=crop": {"0.001": [0.4, 0.5, 0.6], "0.01": [0.1, None, 0.3]},
        "GLIA (trial), epochs=6": {"0.001": [0.1, 0.2, 0.3]},
    }


def test_a_rate_that_lacks_a_split_is_not_kept(tmp_path):
    store = store_of(tmp_path, {0.001: [0.4, 0.5, 0.6], 0.003: [0.1, 0.2, 0.3]})
    asked = Search("glia_trial", "study_tune", preset_named("study"), 3, (0.003,))
    (tmp_path / "runs" / f"{candidates(asked)[2].spec.key}.json").unlink()
    assert searched(store) == {"GLIA (trial)": {"0.001": [0.4, 0.5, 0.6]}}


def test_the_best_rate_is_the_one_with_the_best_mean_among_those_that_never_diverged():
    assert best_rate({"0.001": [0.5, 0.5], "0.003": [0.7, 0.4], "0.01": [0.9, None]}) == "0.003"
    assert best_rate({"0.01": [0.9, None]}) == ""


def test_the_page_shows_means_the_best_bold_and_what_diverged_or_was_not_tried():
    changed = {"0.001": [0.5, 0.5], "0.003": [0.7, None]}
    page = page_of({"GLIA (trial), lambda_init=1": changed, "other": {"0.01": [0.2]}})
    assert r"| GLIA (trial), lambda\_init=1 | **0.500** | – |  |" in page
    assert "| other |  |  | **0.200** |" in page


def folds(known: dict[str, Scores], trial: list[Record]) -> list[tuple[str, ...]]:
    """By row of the second table: the change, its rate and its mean."""
    rows = own_rows(known, Results([]), Results(trial))
    return [(name, rate, mean.split()[0]) for name, rate, mean, *_ in rows]


KNOWN = {"GLIA (trial)": {"0.003": [0.6]}, "GLIA (trial), offset=corner": {"0.001": [0.4], "0.003": [0.3]}}


def test_a_row_of_folds_is_at_the_rate_that_its_search_found():
    trial = Results.read(Store(TRIAL)).records
    glia = ("GLIA (trial)", "0.003", "0.616")
    assert folds(KNOWN, trial) == [glia, ("GLIA (trial), offset=corner", "0.001", "0.469")]
    better = KNOWN | {"GLIA (trial), offset=corner": {"0.001": [0.4], "0.003": [0.5]}}
    assert folds(better, trial) == [glia, ("GLIA (trial), offset=corner", "0.003", "0.551")]


def test_a_change_that_lacks_a_fold_at_its_rate_is_no_row():
    trial = Results.read(Store(TRIAL)).records
    lost = next(one for one in trial if one.spec.options.get("offset") == "corner" and one.spec.recipe.lr == 0.001)
    assert [name for name, *_ in folds(KNOWN, [one for one in trial if one is not lost])] == ["GLIA (trial)"]


def test_the_committed_page_is_what_the_kept_searches_and_the_committed_records_say():
    known = json.loads(KEPT.read_text(encoding="utf-8"))
    own = own_rows(known, Results.read(Store(FOLDER)), Results.read(Store(TRIAL)))
    assert RATES_PAGE.read_text(encoding="utf-8") == page_of(known, own)
    assert {len(row) for row in own} == {6}
