"""SRCC of models of one training set on all others: a heat map with a row for each method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from bench.core.spec import Target
from bench.records.results import Experiment
from bench.report.figures.cross import colour_scale, show_numbers
from bench.report.figures.figure import Figure
from bench.report.figures.scene import Drawing, Scene
from bench.report.figures.style import colour_bar, panels
from bench.report.tables.fill import dataset_title


class KoniqCross(Figure):
    """SRCC of every method, trained on one set's official part, on all other sets."""

    protocol: ClassVar[str] = "koniq_cross"

    def topics(self, scene: Scene) -> list[str]:
        """The wanted sets that models were trained on, or else those tested on a wanted one; on official splits."""
        if scene.part.rules.split_rule != "official":
            return []
        across = scene.part.across()
        return sorted(scene.kept({e.train for e in across}) or {e.train for e in across if scene.kept([e.tested])})

    def draw(self, scene: Scene, source: str) -> Iterator[Drawing]:
        """One figure a source."""
        order = {name: place for place, name in enumerate(scene.part.preset.koniq_cross)}
        known = {e.tested for e in scene.part.across() if e.train == source}
        tested = sorted(scene.kept(known) or known, key=lambda n: (order.get(n, 99), n))
        tests = [Experiment(source, Target.of(name, "all")) for name in tested]
        if source in scene.kept(scene.part.own_test_sets()):
            tests.insert(0, Experiment(source, Target.of(source)))
        subjects = scene.subjects(tests)
        if not subjects:
            return
        values = np.full((len(subjects), len(tests)), np.nan)
        for row, subject in enumerate(subjects):
            for column, experiment in enumerate(tests):
                median = scene.cell(subject.arm, experiment).median
                values[row, column] = np.nan if median is None else median
        size = (max(0.62 * len(tests) + 1.2, 3.0), max(0.34 * len(subjects) + 0.8, 1.7))
        figure, every = panels(1, columns=1, size=size, stretch=False, beside=1.0)
        shown = show_numbers(every[0], values, colour_scale(values))
        names = [dataset_title(e.tested) + (" (test)" if e.is_own_test else "") for e in tests]
        every[0].set_xticks(range(len(tests)), names, rotation=35, ha="right", rotation_mode="anchor")
        every[0].set_yticks(range(len(subjects)), [subject.label for subject in subjects])
        colour_bar(figure, shown, every, "SRCC")
        title = f"Trained on {dataset_title(source)}, tested elsewhere"
        how = f"{dataset_title(source)}: its official test part; all others whole."
        how += " White: not run." if np.isnan(values).any() else ""
        parts = ("koniq_cross", source, *(name for name in tested if name in scene.wish.datasets))
        yield scene.drawing(parts, figure, title, subjects, tests, how=how)
