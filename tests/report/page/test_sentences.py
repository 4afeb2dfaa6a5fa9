"""The sentence in front: it says what the marks of the tables say, and no more than the splits can."""

import re
from dataclasses import replace

import pytest

from bench.records.results import Results
from bench.report.page.chapters import chapters
from bench.report.page.datasets import ranking
from bench.report.page.sentences import OPEN, PARTIAL, TIED, TOLD, finding, short
from tests.report.records import body_of, predictions, record_of
from tests.report.results import specs_of, tables_of

METHODS = "glia,lora,linear_probe"


def with_scores(scores, splits=5, methods=METHODS):
    """Records of the demo's first set whose SRCC is `scores(method, split)`."""
    made = []
    for spec in specs_of("main", "demo", methods, ["demo_a"], splits=splits, split_rule="random"):
        body = body_of(spec)
        body["metrics"]["demo_a:test"]["srcc"] = scores(spec.method, spec.split)
        made.append(replace(record_of(spec), body=body))
    return Results(made)


def said(results):
    (contest,) = chapters(results)[0].all_contests
    return finding(contest)


def test_one_that_is_ahead_in_every_split_is_told_by_how_much():
    ahead = {"glia": 0.9, "lora": 0.8, "linear_probe": 0.7}
    found = said(with_scores(lambda method, split: ahead[method] + 0.01 * split + 0.002 * (split % 2)))
    assert found.verdict == TOLD
    assert re.fullmatch(
        r"GLIA is ahead on Demo A: \.100 \[\.\d{3}, \.\d{3}\] SRCC above LoRA, the next best, over 5 splits\.",
        found.sentence,
    )


def test_two_that_take_turns_cannot_be_told_apart_and_the_third_is_behind():
    def scores(method, split):
        if method == "linear_probe":
            return 0.3 + 0.01 * split
        return 0.8 + 0.02 * split + (0.03 if (method == "glia") == (split % 2 == 0) else 0.0)

    found = said(with_scores(scores))
    assert found.verdict == TIED
    pattern = r"GLIA and LoRA cannot be told apart on Demo A: [+−]\.\d{3} \[−\.\d{3}, \.\d{3}\] SRCC over 5 splits; "
    assert re.fullmatch(pattern + r"1 other method is behind\.", found.sentence), found.sentence


def test_where_nobody_can_be_told_from_the_best_the_nearest_is_named():
    shake = {"glia": (0, 3, 1, 4, 2), "lora": (3, 0, 4, 1, 2), "linear_probe": (2, 4, 0, 3, 1)}
    found = said(with_scores(lambda method, split: 0.5 + 0.05 * shake[method][split]))
    assert found.verdict == TIED
    assert "cannot be told from it; the mean difference to the nearest, " in found.sentence


def test_an_oracle_is_shown_last_and_never_said_to_be_ahead():
    ahead = {"distortion_oracle": 1.0, "glia": 0.9, "lora": 0.8}
    results = with_scores(lambda method, split: ahead[method] + 0.01 * split, methods=",".join(ahead))
    (contest,) = chapters(results)[0].all_contests
    assert [entry.subject.arm.method for entry in contest.entries] == ["glia", "lora", "distortion_oracle"]
    assert finding(contest).sentence.startswith("GLIA is ahead on Demo A: .100")
    alone = with_scores(lambda _method, split: 0.9 + 0.01 * split, methods="distortion_oracle")
    assert said(alone).sentence.startswith("Distortion oracle reaches an SRCC of .920")


def test_an_oracle_has_no_rank_over_all_sets():
    specs = specs_of("main", "demo", "distortion_oracle,glia,lora", ["demo_a", "demo_b"], splits=3)
    (chapter,) = chapters(Results(map(record_of, specs)))
    drawn = str(ranking(chapter).picture)
    assert "LoRA" in drawn
    assert "oracle" not in drawn


def test_of_two_settings_the_tuned_one_is_told_of():
    plain = with_scores(lambda method, split: {"glia": 0.9}.get(method, 0.5) + 0.01 * split)
    lower = with_scores(lambda _method, split: 0.7 + 0.01 * split, methods="glia")
    tuned = [replace(record, spec=replace(record.spec, recipe_from="transferred:lr")) for record in lower.records]
    found = said(Results([*plain.records, *tuned]))
    assert found.sentence.startswith("GLIA is ahead on Demo A: .200")


@pytest.mark.parametrize("splits", [1, 2])
def test_of_fewer_than_three_splits_no_verdict_is_given(splits):
    found = said(with_scores(lambda method, split: {"glia": 0.9}.get(method, 0.2) + split / 100, splits=splits))
    assert found.verdict == OPEN
    assert "cannot tell them apart" in found.sentence
    assert "[" not in found.sentence


def test_a_single_method_is_said_with_its_interval_and_no_comparison():
    found = said(with_scores(lambda _method, split: 0.5 + split / 100, methods="glia"))
    assert found.sentence.startswith("GLIA reaches an SRCC of .520 on Demo A (median of 5 splits; 95% interval")


def test_numbers_whose_epoch_was_chosen_on_the_test_part_are_never_compared():
    specs = specs_of("main", "demo", METHODS, ["demo_a"], splits=3)
    oracle = [replace(spec, recipe=replace(spec.recipe, selection="oracle")) for spec in specs]
    assert "optimistic, and no comparison" in said(Results(map(record_of, oracle))).sentence


def test_a_set_that_is_tested_from_another_is_said_with_both():
    results = Results(map(record_of, specs_of("cross", "demo", METHODS, ["demo_a", "demo_b"], splits=3)))
    sentences = [finding(contest).sentence for contest in chapters(results)[0].all_contests]
    assert all(sentence.startswith("Trained on Demo A and tested on Demo B, ") for sentence in sentences)


@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_the_verdict_is_that_of_the_marks_in_the_table(preset):
    sets = {"demo": ["demo_a", "demo_b"], "paper": ["livec", "koniq10k"]}[preset]
    results = Results(map(record_of, specs_of("main", preset, METHODS, sets, splits={"demo": 3, "paper": 10}[preset])))
    table = next(t for name, t in tables_of("main", results).items() if "ranking" not in name)
    for place, contest in enumerate(chapters(results)[0].contests["own"]):
        column = [row.cells[2 * place] for row in table.rows if not row.block]
        tied = sum(number.tied for number in column)
        assert (finding(contest).verdict == TIED) == bool(tied)


def test_where_a_split_is_missing_nothing_is_ranked_but_the_known_difference_is_told():
    results = with_scores(lambda method, split: {"glia": 0.9, "lora": 0.8}.get(method, 0.2) + split / 100)
    partly = Results(
        [record for record in results.records if record.spec.split or record.spec.method == "linear_probe"]
    )
    found = said(partly)
    assert found.verdict == PARTIAL
    assert (
        "; 4 of 5 splits of GLIA are in, so nothing is ranked yet. The two differ by +.100 [.100, .100]"
        in found.sentence
    )
    assert "over 4 splits." in found.sentence


def test_one_that_stands_higher_over_fewer_splits_is_named():
    results = with_scores(lambda method, split: {"glia": 0.9, "lora": 0.8}.get(method, 0.2) + split / 100)
    partly = Results([r for r in results.records if (r.spec.method, r.spec.split) != ("glia", 0)])
    found = said(partly)
    assert found.verdict == TOLD
    assert found.sentence.startswith("LoRA is ahead on Demo A")
    assert found.sentence.endswith("Not counted, for splits are missing: GLIA (.925, 4 of 5 splits).")


def test_a_part_of_the_splits_is_said():
    specs = specs_of("main", "paper", METHODS, ["livec"], splits=2)
    results = Results(map(record_of, specs))
    assert "2 of 10 splits cannot tell them apart" in said(results).sentence
    assert predictions(specs[0])


def test_numbers_are_short_and_their_minus_is_one():
    assert [short(0.9312), short(-0.0031), short(0.004, sign=True), short(-0.0, sign=True), short(1.0)] == [
        ".931", "−.003", "+.004", ".000", "1.000",
    ]  # fmt: skip
