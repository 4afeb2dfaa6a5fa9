"""Runs on other splits or of otherwise chosen epochs have figures of their own, which say so in every way they can."""

from dataclasses import replace

import pytest

from bench.records.results import Results
from bench.report.figures import make_figure, make_figures
from tests.report.figures.drawn import FROM_RECORDS, drawings, made, panels_of, words
from tests.report.records import record_of

ORACLE, OFFICIAL = {"recipe": {"selection": "oracle"}}, {"split_rule": "official"}


def under(records, *, recipe=None, **fields):
    """The records as runs under other rules would have made them."""
    return [record_of(replace(one.spec, **fields, recipe=replace(one.spec.recipe, **recipe or {}))) for one in records]


def koniq(methods, **common):
    return made(methods, ["koniq10k"], preset="paper", protocols="main", **common)


@pytest.mark.parametrize("name", FROM_RECORDS)
def test_each_set_of_rules_has_a_figure_of_its_own_that_says_so(name, tmp_path):
    usual = made("linear_probe,glia", splits=1)
    alone = {path.name: path.read_bytes() for path in make_figure(name, Results(usual), tmp_path / "alone")}
    both = make_figure(name, Results([*usual, *under(usual, **OFFICIAL, **ORACLE)]), tmp_path / "both")
    assert {path.name: path.read_bytes() for path in both if path.name in alone} == alone
    apart = [path for path in both if path.name not in alone]
    assert len(apart) == len(alone)
    for path in apart:
        assert path.stem.endswith("_official_oracle_demo")
        if path.suffix == ".svg":
            assert "Demo. Official split. Epoch chosen on the TEST part." in words(path)
            assert "neither ranked nor compared" in words(path)
            assert "There is one official split" in words(path)


def test_a_method_under_other_rules_is_in_their_figure_only(tmp_path):
    records = [*koniq("glia"), *under(koniq("lora"), **ORACLE)]
    usual, oracle = drawings("scatter", records, tmp_path)
    assert [panels_of(one)[0].get_title().partition("\n")[0] for one in (usual, oracle)] == ["GLIA", "LoRA"]
    assert usual.title == "Predicted against human scores on KonIQ-10k"


def test_published_numbers_of_random_splits_do_not_stand_beside_official_ones(tmp_path):
    records = koniq("linear_probe,glia")
    for changes, so in ((OFFICIAL, False), (ORACLE, True)):
        [drawing] = drawings("parameters", under(records, **changes), tmp_path)
        assert ("Grey diamonds" in drawing.words[0]) == so


def test_an_official_test_part_is_not_called_a_fifth_of_the_set(tmp_path):
    records = made("glia", protocols="main,cross", splits=1)
    usual, official = drawings("cross", [*records, *under(records, **OFFICIAL)], tmp_path)
    assert "Framed: the training set's own held-out fold;" in usual.words[0]
    assert "Framed: the training set's own official test part;" in official.words[0]


def test_smoke_runs_stand_aside_of_the_runs_under_their_own_rules_only(tmp_path):
    records = [*koniq("glia"), *under(koniq("glia"), **OFFICIAL), *under(koniq("lora", limit=40), **OFFICIAL)]
    usual, official = drawings("training", records, tmp_path)
    assert not any("smoke" in line for line in usual.words)
    assert "Left out, for they are smoke runs (--limit): LoRA." in official.words
    assert [one.stem for one in (usual, official)] == ["training_koniq10k", "training_koniq10k_official"]


def test_what_was_chosen_and_the_rules_both_stand_in_a_files_name(tmp_path):
    records = under(made("glia,lora", ["demo_a"], protocols="main", limit=40), recipe={"selection": "val"})
    [drawing] = drawings("scatter", records, tmp_path, methods=("glia",), plain=True)
    assert drawing.stem == "scatter_demo_a_glia_val_demo_smoke"
    assert drawing.title.startswith("Demo. Smoke run. Epoch chosen on validation contents. ")


def test_a_figure_that_could_not_be_drawn_is_named_with_its_rules(monkeypatch, tmp_path):
    def fail(*_):
        raise RuntimeError("gone")

    monkeypatch.setattr("bench.report.figures.training.Training.draw", fail)
    records = koniq("glia")
    outcome = make_figures(["training"], Results([*records, *under(records, **OFFICIAL)]), tmp_path)
    named = [refusal.figure for refusal in outcome.refused]
    assert named == ["training (KonIQ-10k)", "training (KonIQ-10k, official)"]
