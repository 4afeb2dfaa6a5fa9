"""Figures of made-up records as tests look at them: the drawings themselves, and all text of a file."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np

from bench.records.results import Results
from bench.report.figures import make_figures
from bench.report.figures.style import COLOURS, OWN_PLACES
from bench.report.table import Number
from tests.report.records import record_of, seed_of
from tests.report.results import specs_of, tables_of

FROM_RECORDS = ("parameters", "scatter", "distortions", "data_efficiency", "cross", "training")
PROTOCOLS = "main,cross,data_efficiency"


def made(
    methods, datasets=("demo_a", "demo_b"), *, preset="demo", splits=2, protocols=PROTOCOLS, recipe=None, **common
):
    """Records of some methods, with a changed recipe if one is given."""
    specs = specs_of(protocols, preset, methods, datasets, splits, **common)
    return [record_of(replace(spec, recipe=replace(spec.recipe, **recipe or {}))) for spec in specs]


def drawings(name, records, out, **options):
    """The drawings of a figure."""
    outcome = make_figures([name], Results(records), out, formats=("svg",), strict=True, **options)
    return [written.drawing for written in outcome.written]


def words(path):
    """All text of an SVG, as a reader sees it."""
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    lines = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    return re.sub(r"\s+", " ", " ".join(lines))


def panels_of(drawing):
    """The visible panels of a drawing, colour bars left out."""
    return [a for a in drawing.figure.axes if a.get_visible() and a.get_label() != "<colorbar>"]


def seeded(specs, seeds=2):
    """The same runs under several seeds each, with losses and costs that all differ."""
    runs = [replace(spec, recipe=replace(spec.recipe, seed=seed)) for spec in specs for seed in range(seeds)]
    return [record_of(run, loss=[1 + seed_of(run.key, epoch) % 997 / 997 for epoch in range(4)]) for run in runs]


def in_tables(protocol, records):
    """Every number of a protocol's tables: by method, training set, target, share and metric."""
    rows = [row for table in tables_of(protocol, records).values() for row in table.rows]
    found = [number for row in rows for number in row.cells if isinstance(number, Number) and number.facts]
    return {tuple(n.facts[name] for name in ("method", "train", "test", "fraction", "metric")): n.value for n in found}


def by_fold(records, method, value):
    """A number of a method's runs by fold: each fold's mean over its seeds."""
    folds = {}
    for record in (record for record in records if record.spec.method == method):
        folds.setdefault(record.spec.split, []).append(value(record))
    return [sum(values) / len(values) for values in folds.values()]


def method_of(artist):
    """Whose colour an artist has, among the methods with a place of their own."""
    from matplotlib.colors import to_hex

    colour = artist.get_color() if hasattr(artist, "get_color") else artist.get_facecolor()
    return OWN_PLACES[COLOURS.index(to_hex(colour if isinstance(colour, str) else np.ravel(colour)[:3]).upper())]
