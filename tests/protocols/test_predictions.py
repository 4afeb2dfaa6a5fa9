"""The protocols that train nothing: tables by distortion and gMAD, from stored predictions."""

import numpy as np
import pytest

from bench.core.code import NUMERICS
from bench.metrics.gmad import compete
from bench.records.results import Results
from bench.report.table import Number
from tests.report.records import KINDS, predictions, record_of, records_of
from tests.report.results import results_of, specs_of, tables_of


def test_correlations_are_among_the_images_of_one_distortion():
    specs = specs_of("distortions", "demo", "glia,lora", ["demo_a"], splits=1)
    tables = tables_of("distortions", records_of(specs))
    table = tables["distortions_demo_a_kinds_demo"]
    assert [row.lead for row in table.rows][:2] == [("gaussian blur", "PLCC"), ("gaussian blur", "SRCC")]
    assert len(table.rows) == 2 * len(KINDS)
    arrays = predictions(next(spec for spec in specs if spec.method == "glia"))
    chosen = arrays["demo_a:test/distortion"] == "jpeg"
    ranks = [np.argsort(np.argsort(arrays[f"demo_a:test/{name}"][chosen])) for name in ("human", "predicted")]
    shown = next(row for row in table.rows if row.lead == ("jpeg", "SRCC")).cells[-1]
    assert shown.value == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_the_raw_plcc_of_a_distortion_is_of_the_scores_as_they_are():
    specs = specs_of("distortions", "demo", "glia,lora", ["demo_a"], splits=1)
    table = tables_of("distortions", Results(records_of(specs), raw_plcc=True))[
        "distortions_demo_a_kinds_raw_plcc_demo"
    ]
    arrays = predictions(next(spec for spec in specs if spec.method == "glia"))
    chosen = arrays["demo_a:test/distortion"] == "jpeg"
    scores = [arrays[f"demo_a:test/{name}"][chosen] for name in ("human", "predicted")]
    shown = next(row for row in table.rows if row.lead == ("jpeg", "raw PLCC")).cells[-1]
    assert shown.value == pytest.approx(np.corrcoef(*scores)[0, 1])


def test_families_are_those_of_kadid():
    tables = tables_of("distortions", results_of("distortions", "demo", "glia,lora", ["demo_a"], splits=1))
    groups = list(dict.fromkeys(group for group, _ in tables["distortions_demo_a_families_demo"].header))
    assert groups == ["blur", "compression", "noise", "brightness", "contrast"]


def test_sets_without_known_distortions_have_no_such_table():
    records = [record_of(spec) for spec in specs_of("main", "demo", "glia", ["demo_a"], splits=1)]
    for record in records:
        record.__dict__["_arrays"] = {k: v for k, v in predictions(record.spec).items() if "distortion" not in k}
    assert tables_of("distortions", records) == {}


def test_gmad_is_the_competition_of_the_stored_predictions():
    specs = specs_of("gmad", "demo", "glia,lora,loda", splits=1)
    ranking = tables_of("gmad", records_of(specs))["gmad_demo_a_demo_b_demo"]
    scores = {spec.method: predictions(spec)["demo_b:all/predicted"] for spec in specs}
    _, expected = compete(scores, predictions(specs[0])["demo_b:all/human"])
    shown = {row.cells[0].facts["method"]: row for row in ranking.rows}
    for method, score in expected.aggressiveness_score.items():
        assert shown[method].cells[1].value == pytest.approx(score)
        assert shown[method].cells[3].value == pytest.approx(expected.resistance_score[method])


def test_gmad_is_fought_by_the_runs_of_todays_code():
    specs = specs_of("gmad", "demo", "glia,lora", splits=1)
    first = next(spec for spec in specs if spec.method == "glia")
    older = record_of(first.with_tests((*first.tests, "demo_a:test")), code={"method": "another", "numerics": NUMERICS})
    older.__dict__["_arrays"] = {name: values[::-1] for name, values in predictions(first).items()}
    known, among = (
        tables_of("gmad", records)["gmad_demo_a_demo_b_demo"]
        for records in (records_of(specs), [older, *records_of(specs)])
    )
    assert [row.cells for row in among.rows] == [row.cells for row in known.rows]


def test_gmad_pairs_name_images_and_their_gap():
    pairs = tables_of("gmad", results_of("gmad", "demo", "glia,lora", splits=1))["gmad_demo_a_demo_b_pairs_demo"]
    assert {row.lead[2] for row in pairs.rows} <= {"low", "high"}
    better, worse, gap = pairs.rows[0].cells
    assert str(better).endswith(".png")
    assert better != worse
    assert isinstance(gap, Number)


def test_pairs_are_credited_to_those_who_found_them_though_another_model_failed():
    specs = specs_of("gmad", "demo", "glia,lora,adapter", splits=1)
    records = [record_of(s, error=("RunError", "no")) if s.method == "adapter" else record_of(s) for s in specs]
    tables = tables_of("gmad", records)
    fighters = {row.lead[0] for row in tables["gmad_demo_a_demo_b_pairs_demo"].rows}
    assert {name.split(" ")[0] for name in fighters} == {"GLIA", "LoRA"}


def test_the_users_own_sets_compete_too():
    found = results_of("gmad", "demo", "glia,lora", ["mine", "yours"], splits=1)
    assert "gmad_mine_yours_demo" in tables_of("gmad", found)


def test_one_model_does_not_compete():
    assert tables_of("gmad", results_of("gmad", "demo", "glia")) == {}


def test_models_that_saw_different_images_do_not_compete():
    records = records_of(specs_of("gmad", "demo", "glia,lora", splits=1))
    odd = dict(predictions(records[0].spec))
    odd["demo_b:all/names"] = odd["demo_b:all/names"][::-1]
    records[0].__dict__["_arrays"] = odd
    assert tables_of("gmad", Results(records)) == {}
