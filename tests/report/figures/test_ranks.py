"""Ranks over the contents of a set: what is ranked, when there is a figure, and what it says of itself."""

from dataclasses import replace

import numpy as np
import pytest

from bench.metrics.contents import ModelScores
from bench.metrics.variance import content_scores
from bench.records.results import Results
from bench.report.figures import NothingToDraw, make_figures
from tests.data.test_study import plan
from tests.report.figures.drawn import words
from tests.report.records import predictions, records_of
from tests.report.results import results_of, specs_of


def model_of(contents, slopes, seed=0):
    """One model's predictions: in each content they rise with the human scores, or fall."""
    noise = np.random.default_rng(seed)
    names = np.repeat(contents, 20)
    human = np.tile(np.arange(20.0), len(contents))
    predicted = human * np.repeat(slopes, 20) + 1e-3 * noise.standard_normal(len(human))
    return ModelScores(predicted, human, names)


def test_a_contents_score_is_that_inside_it_and_the_mean_over_seeds():
    models = {0: [model_of(["a", "b"], [1, 1]), model_of(["c"], [-1])], 1: [model_of(["a", "b"], [1, -1])]}
    assert content_scores(models) == pytest.approx({"a": 1.0, "b": 0.0})


def test_ranks_are_drawn_of_a_set_in_k_fold_and_the_words_say_of_how_many_contents(tmp_path):
    results = Results(records_of(plan(methods=("lora", "glia", "linear_probe", "distortion_oracle"))))
    (written,) = make_figures(["ranks"], results, tmp_path, formats=("svg", "png")).written
    said = " ".join(written.drawing.words)
    assert "contents methods are ranked by the SRCC inside it" in said
    assert "Nemenyi" in said
    assert {path.name for path in written.paths} == {"ranks_study_study.svg", "ranks_study_study.png"}
    for name in ("LoRA", "GLIA", "Linear probe"):
        assert name in words(written.paths[0])
    assert "oracle" not in words(written.paths[0])


def test_a_method_without_an_srcc_inside_every_content_is_named_below_the_ranks(tmp_path):
    records = records_of(specs_of("main", "study", "lora,glia,vpt", ["study"], splits=2))
    for place, record in enumerate(records):
        if record.spec.method == "vpt":
            arrays = predictions(record.spec)
            arrays["study:test/predicted"][arrays["study:test/group"] == "03"] = 0.0
            records[place] = replace(record, arrays=lambda arrays=arrays: arrays)
    (written,) = make_figures(["ranks"], Results(records), tmp_path, formats=("svg",)).written
    assert "Not ranked, for without an SRCC inside every content: VPT." in written.drawing.words


def test_random_splits_have_no_ranks_over_contents(tmp_path):
    with pytest.raises(NothingToDraw, match="Nothing to draw for ranks"):
        make_figures(["ranks"], results_of("main", "paper", "lora,glia", ["livec"], splits=3), tmp_path)
