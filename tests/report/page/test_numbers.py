"""Numbers of the page read back by their heads and places: costs, the explorer's columns, bars, columns and colours."""

import json
import re

import numpy as np
import pytest

from bench.records.results import Results
from bench.report.page.chapters import chapters
from bench.report.page.charts import histogram, lollipops
from bench.report.page.datasets import matrices, set_views
from bench.report.page.explorer import explorer
from bench.report.page.front import COSTS, front
from tests.report.figures.drawn import in_tables, seeded
from tests.report.page.worlds import demo
from tests.report.records import record_of
from tests.report.results import specs_of

COSTLY = {
    "parameters": {"trainable": 2_000_000, "total": 30_000_000},
    "seconds": {"train": 41.0},
    "speed": {"test_images_s": 53.0, "train_images_s": 7.0},
    "gflops": 6.5,
    "memory_peak_bytes": 3 * 2**30,
}
"""A run's costs, no two alike."""


@pytest.fixture(scope="module")
def study():
    return Results(seeded(specs_of("main", "study", "lora,glia", ["study"], splits=3)))


def test_every_cost_stands_under_its_head():
    results = Results([record_of(spec, **COSTLY) for spec in specs_of("main", "demo", "glia", ["demo_a"], splits=1)])
    [(_, cells)] = front(chapters(results))[0].costs
    assert dict(zip([name for name, _ in COSTS], cells, strict=True)) == {
        "Trainable": "2M", "Total": "30M", "On disk": "7.63 MB", "Training": "41 s", "Images/s": "53", "GFLOPs": "6.5",
        "Peak memory": "3 GB",
    }  # fmt: skip


def test_a_row_of_the_explorer_has_the_tables_numbers_and_its_costs_under_their_names(study):
    known = in_tables("main", study.records)
    data = json.loads(json.dumps(explorer(Results([record_of(r.spec, **COSTLY) for r in study.records]))))
    for values in data["rows"]:
        row = dict(zip(data["columns"], values, strict=True))
        method = {"LoRA": "lora", "GLIA": "glia"}[data["texts"][row["family"]]]
        for metric in ("srcc", "plcc"):
            assert row[metric] == round(known[method, "study", "study:test", 0.8, metric], 3)
        assert row["low"] < row["srcc"] < row["high"]
        costs = ("trainable", "total", "disk", "seconds", "speed", "gflops", "memory")
        assert [row[name] for name in costs] == [2_000_000, 30_000_000, 8_000_000, 41, 53, 6.5, 3 * 2**30]


def test_the_dots_of_a_fold_under_several_seeds_are_called_runs(study):
    drawn = next(d for d in set_views(chapters(study)[0])[0].drawings if d.title.startswith("Every"))
    assert (drawn.title, drawn.words[:18]) == ("Every run", "Every dot is a run")
    assert str(drawn.picture).count("<circle") == 2 * 3 * 2


def test_a_histogram_counts_from_the_lowest_score_to_the_highest():
    scores = [0.0] * 5 + [1.0] * 3 + [2.0] * 2 + [9.0]
    counts = [int(count) for count in re.findall(r"<title>[^<]*: (\d+)</title>", histogram(scores, "Scores"))]
    assert counts == np.histogram(scores, bins=len(counts))[0].tolist()


def test_bars_within_distortions_end_where_their_numbers_are():
    few, many = chapters(demo(splits=1))[0].subjects[:2]
    picture = lollipops({"blur": {few: (9, -0.4), many: (9, 0.3)}}, "By distortion")
    zero, *ends = (float(x) for x in re.findall(r'<line x1="([\d.]+)%"[^>]*x2="[\d.]+%"[^>]*stalk', picture)[:1])
    ends = [float(x) for x in re.findall(r'x2="([\d.]+)%"[^>]*stalk', picture)]
    assert (ends[0] - zero) / (ends[1] - zero) == pytest.approx(-0.4 / 0.3, rel=0.01)
    assert [float(x) for x in re.findall(r'<svg x="([\d.]+)%"', picture)] == ends


def test_a_matrix_is_darkest_where_it_is_best():
    cells = [cell for matrix in matrices(chapters(demo(splits=1))[0]) for _, row in matrix.rows for cell in row]
    steps = [step for _, step, _ in sorted((float(text), step, own) for text, step, own in cells if text)]
    assert steps == sorted(steps)
    assert steps[0] < steps[-1] == 7
