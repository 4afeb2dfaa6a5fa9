"""What figures draw is what tables say of the same records: bars, marks, lines, maps and points, read back."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from scipy.stats import rankdata

from bench.metrics.variance import content_scores
from bench.records.results import Experiment
from bench.report.cells import Cell
from tests.report.figures.drawn import by_fold, drawings, in_tables, method_of, panels_of, seeded
from tests.report.results import specs_of

METHODS = ("linear_probe", "lora", "glia")
STUDY = ("study", "study:test", 0.8)


@pytest.fixture(scope="module")
def study():
    """Three methods on three folds, under two seeds each."""
    return seeded(specs_of("main", "study", ",".join(METHODS), ["study"], splits=3))


def srcc(record):
    return record.value("study:test", "srcc")


def panels(name, records, out):
    [drawing] = drawings(name, records, out)
    return panels_of(drawing)


def of_kind(kind, axes):
    return [artist for artist in axes.collections if isinstance(artist, kind)]


def whiskers(axes):
    """Whose each whisker is, where it stands, and its ends."""
    lines = [(line, end) for line in of_kind(LineCollection, axes) for end in line.get_segments()]
    return [(method_of(line), end[0][0], end[0][1], end[1][1]) for line, end in lines]


def test_distortions_draws_the_tables_medians_over_folds_and_not_over_runs(study, tmp_path):
    known = in_tables("distortions", study)
    bars, dots = map(panels_of, drawings("distortions", study, tmp_path))
    for number, metric in enumerate(("plcc", "srcc")):
        families = [label.get_text() for label in bars[-1].get_xticklabels()]
        kinds = [label.get_text().replace(" ", "_") for label in dots[0].get_yticklabels()]
        shown = [(bar, f"family/{families[round(bar.get_x() + bar.get_width() / 2)]}") for bar in bars[number].patches]
        heights = [(method_of(bar), group, bar.get_height()) for bar, group in shown]
        marks = [(dot, f"distortion/{kinds[round(dot.get_ydata()[0])]}") for dot in dots[number].lines]
        heights += [(method_of(dot), group, dot.get_xdata()[0]) for dot, group in marks]
        assert len(heights) == len(METHODS) * (len(families) + len(kinds))
        for method, group, value in heights:
            assert value == pytest.approx(known[method, *STUDY, f"{metric}/{group}"], abs=1e-6)


def test_parameters_draws_the_tables_median_between_the_lowest_and_the_highest_fold(study, tmp_path):
    known = in_tables("main", study)
    [axes] = panels("parameters", study, tmp_path)
    spots = {
        method_of(spot): spot.get_offsets()[0][1] for spot in of_kind(PathCollection, axes) if len(spot.get_offsets())
    }
    assert spots == pytest.approx({method: known[method, *STUDY, "srcc"] for method in METHODS})
    for method, _, low, high in whiskers(axes):
        folds = by_fold(study, method, srcc)
        assert (low, high) == pytest.approx((min(folds), max(folds)))


def test_training_draws_every_runs_loss_and_their_mean(study, tmp_path):
    for axes in panels("training", study, tmp_path):
        *runs, mean = (line.get_ydata() for line in axes.lines)
        losses = [r.body["loss"] for r in study if r.spec.method == method_of(axes.lines[0])]
        assert sorted(map(list, runs)) == sorted(losses)
        assert mean == pytest.approx(np.mean(losses, axis=0))


def test_scatter_draws_what_the_run_nearest_to_the_tables_median_predicted(study, tmp_path):
    known = in_tables("main", study)
    for axes in panels("scatter", study, tmp_path):
        [points] = of_kind(PathCollection, axes)
        method = method_of(points)
        own = [record for record in study if record.spec.method == method]
        found = min(own, key=lambda r: abs(srcc(r) - known[method, *STUDY, "srcc"])).predictions("study:test")
        np.testing.assert_allclose(points.get_offsets(), np.stack([found.predicted, found.human], axis=1))


def test_ranks_draws_mean_ranks_over_contents_and_a_bar_over_every_two_that_are_near(tmp_path):
    records = seeded(specs_of("main", "study", "linear_probe,lora,vpt,loda,glia", ["study"], splits=2))
    methods = list(dict.fromkeys(record.spec.method for record in records))
    every = [[record for record in records if record.spec.method == method] for method in methods]
    scores = [content_scores(Cell.of(runs, Experiment(*STUDY[:2]), "srcc").by_seed()) for runs in every]
    ranks = rankdata([[-of[name] for name in sorted(of)] for of in scores], axis=0).mean(axis=1)
    [axes] = panels("ranks", records, tmp_path)
    marks = {
        method_of(line): (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1
    }
    assert {method: rank for method, (rank, _) in marks.items()} == pytest.approx(
        dict(zip(methods, ranks, strict=True))
    )
    [critical] = [np.ptp(line.get_xdata()) for line in axes.lines if line.get_marker() == "|"]
    bars = [line.get_ydata() for line in axes.lines if line.get_linewidth() == 3]
    pairs = list(combinations(methods, 2))
    near = [(a, b) for a, b in pairs if abs(marks[a][0] - marks[b][0]) < critical]
    joined = [pair for pair in pairs if any(all(low < marks[m][1] < high for m in pair) for low, high in bars)]
    assert joined == near
    assert 0 < len(near) < len(pairs)


def test_data_efficiency_draws_the_tables_medians_between_the_lowest_and_the_highest_fold(tmp_path):
    records = seeded(specs_of("main,data_efficiency", "demo", "lora,glia", ["demo_a"], splits=3))
    known = in_tables("data_efficiency", records) | in_tables("main", records)
    [axes] = panels("data_efficiency", records, tmp_path)
    shares = sorted({record.spec.fraction for record in records})
    for line in axes.lines:
        method = method_of(line)
        assert line.get_ydata() == pytest.approx([known[method, "demo_a", "demo_a:test", s, "srcc"] for s in shares])
        ends = [end[2:] for end in whiskers(axes) if end[0] == method]
        folds = [
            by_fold([r for r in records if r.spec.fraction == s], method, lambda r: r.value("demo_a:test", "srcc"))
            for s in shares
        ]
        assert np.array(ends) == pytest.approx(np.array([(min(of), max(of)) for of in folds]))


def test_cross_draws_the_tables_medians_of_every_pair(tmp_path):
    records = seeded(specs_of("main,matrix", "demo", "lora,glia", ["demo_a", "demo_b"], splits=2))
    known = in_tables("matrix", records) | in_tables("main", records)
    sets = ("demo_a", "demo_b")
    for axes, method in zip(panels("cross", records, tmp_path), ("lora", "glia"), strict=True):
        for (row, column), value in np.ndenumerate(axes.images[0].get_array()):
            target = f"{sets[column]}:{'test' if row == column else 'all'}"
            assert value == pytest.approx(known[method, sets[row], target, 0.8, "srcc"])


def test_koniq_cross_draws_the_tables_medians_of_every_set(tmp_path):
    records = seeded(specs_of("koniq_cross", "paper", "lora,glia", splits=2), seeds=1)
    known = in_tables("koniq_cross", records)
    [axes] = panels("koniq_cross", records, tmp_path)
    for method, row in zip(("lora", "glia"), axes.images[0].get_array(), strict=True):
        own = [value for key, value in known.items() if key[0] == method and key[-1] == "srcc"]
        assert row.tolist() == pytest.approx(own)
