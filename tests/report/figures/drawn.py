"""Figures of made-up records as tests look at them: the drawings themselves, and all text of a file."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from bench.records.results import Results
from bench.report.figures import make_figures
from tests.report.records import record_of
from tests.report.results import specs_of

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
