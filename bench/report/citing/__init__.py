"""What to cite for numbers: BibTeX for the methods, sets, networks and losses behind some records.

An entry stands in `references.bib` only where its facts were found in print; what has none is named instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.registry import stem_of

if TYPE_CHECKING:
    from bench.records.results import Record
    from bench.report.table import Table

NEEDS_NONE = frozenset({"linear_probe", "full_finetune", "mean", "ridge", "ridge_cnn", "distortion_oracle", "ensemble"})
"""Methods that no paper can claim."""
METHODS: Mapping[str, tuple[str, ...]] = {
    "glia": ("li2026glia",),
    "loda": ("xu2024loda",),
    "adapter": ("houlsby2019adapter",),
    "lora": ("hu2022lora", "mangrulkar2022peft"),
    "peft:lora": ("hu2022lora", "mangrulkar2022peft"),
    "vpt": ("jia2022vpt",),
    "bitfit": ("zaken2022bitfit",),
    "ssf": ("lian2022ssf",),
    "deiqt": ("qin2023deiqt",),
    "hyperiqa": ("su2020hyperiqa",),
    "dbcnn": ("zhang2020dbcnn",),
    "dbcnn_vgg": ("zhang2020dbcnn",),
    "maniqa": ("yang2022maniqa",),
    "musiq": ("ke2021musiq",),
    "brisque": ("mittal2012brisque",),
    "ilniqe": ("zhang2015ilniqe",),
    "niqe": ("mittal2013niqe",),
    "rali": (),  # no entry was found in print
    "rali_noalign": (),  # no entry was found in print
}
LIBRARIES: Mapping[str, tuple[str, ...]] = {"peft": ("mangrulkar2022peft",), "pyiqa": ("chen2022pyiqa",)}
"""Where the methods of a family come from."""
DATASETS: Mapping[str, tuple[str, ...]] = {
    "live": ("sheikh2006live",),
    "csiq": ("larson2010csiq",),
    "tid2013": ("ponomarenko2015tid2013",),
    "kadid10k": ("lin2019kadid",),
    "koniq10k": ("hosu2020koniq",),
    "livec": ("ghadiyaram2016livec",),
    "spaq": ("fang2020spaq",),
    "flive": ("ying2020flive",),
    "agiqa3k": ("li2024agiqa3k",),
    "aigciqa2023": ("wang2023aigciqa2023",),
    "bid": ("ciancio2011bid",),
    "pipal": ("gu2020pipal",),
    "uhdiqa": ("hosu2024uhdiqa",),
    **dict.fromkeys(("demo_a", "demo_b", "demo_wild", "study", "study_tune"), ("lin2019kadid",)),
}
"""The labels of the demo and of the study are means of KADID-10k's."""
WEIGHTS: tuple[tuple[str, str], ...] = (
    (r"dinov2", "oquab2023dinov2"),
    (r"dinov3", "simeoni2025dinov3"),
    (r"_pe_", "bolya2025perception"),
    (r"^eva02_", "fang2024eva02"),
    (r"siglip_.*\.v2_", "tschannen2025siglip2"),
    (r"siglip_", "zhai2023siglip"),
    (r"\.mae", "he2022mae"),
    (r"_clip_.*\.openai", "radford2021clip"),
    (r"\.augreg", "steiner2022augreg"),
)
"""How a backbone's name in timm says who trained its weights."""
CNNS: tuple[tuple[str, str], ...] = ((r"^resnet", "he2016resnet"), (r"efficientnet_", "tan2019efficientnet"))
LOSSES: Mapping[str, tuple[str, ...]] = {"plcc": ("xu2024loda",), "plcc_squared": ("xu2024loda",)}
"""The losses that are a paper's own (LoDa's Eq. 5, and its code)."""
PUBLISHED: Mapping[str, tuple[str, ...]] = {"GLIA": ("li2026glia",), "LoDa": ("xu2024loda",)}
"""The papers whose printed numbers stand in a table."""

WHICH = ("method", "train", "test", "preset")
WHOLE = (*WHICH, "backbone", "options", "changes", "fraction", "source")
"""What a number says of the runs behind it, and what most say."""


@dataclass
class Citations:
    """Entries with what each is cited for, and what has none."""

    reasons: dict[str, list[str]] = field(default_factory=dict)
    """Key of an entry → what it is cited for."""
    missing: list[str] = field(default_factory=list)
    """What was used and has no entry here."""

    def add(self, keys: Iterable[str], reason: str) -> None:
        """Cite entries for something; nothing to cite for it is noted."""
        entries = list(keys)
        for key in entries:
            said = self.reasons.setdefault(key, [])
            said += [] if reason in said else [reason]
        if not entries and reason not in self.missing:
            self.missing.append(reason)

    def bibtex(self) -> str:
        """All entries, each below a line that says what it is for."""
        known = entries()
        blocks = [f"% {', '.join(self.reasons[key])}\n{known[key]}" for key in sorted(self.reasons)]
        return "\n".join([*blocks, harness()])


def cite(records: Iterable[Record], sources: Iterable[str] = ()) -> Citations:
    """What to cite for some records, and for the papers (`GLIA`, `LoDa`) whose printed numbers stand beside them."""
    citations = Citations()
    for record in records:
        spec = record.spec
        _cite_method(citations, spec.method)
        for name in sorted(spec.datasets):
            citations.add(DATASETS.get(name, ()), f"set {name}")
        if spec.external:
            continue
        _cite_networks(citations, record)
        if spec.recipe.loss in LOSSES and record.body.get("loss"):  # of a fit there is none
            citations.add(LOSSES[spec.recipe.loss], f"loss {spec.recipe.loss}")
    for source in sources:
        citations.add(PUBLISHED.get(source, ()), f"published numbers of {source}")
    return citations


def _cite_method(citations: Citations, name: str) -> None:
    """A method's paper; of one out of a library that has no entry here, the library's too."""
    if name in NEEDS_NONE:
        return
    citations.add(METHODS.get(name, ()), f"method {name}")
    if stem_of(name) in LIBRARIES and name not in METHODS:
        citations.add(LIBRARIES[stem_of(name)], f"library {stem_of(name)}")


def _cite_networks(citations: Citations, record: Record) -> None:
    """The backbone, whoever trained its weights, and further frozen networks; weights from a file are the user's."""
    spec = record.spec
    backbone = f"backbone {spec.backbone}"
    if spec.backbone:
        citations.add(("wightman2019timm",), backbone)
    if spec.backbone.startswith(("vit_", "test_vit")):
        citations.add(("dosovitskiy2021vit",), backbone)
    if spec.backbone and spec.weights == "pretrained":
        weights = _first(WEIGHTS, spec.backbone)
        citations.add(weights, backbone if weights else f"the weights of {spec.backbone}")
    further = record.section("weights").get("further") or {}
    for name in further:
        citations.add(_first(CNNS, str(name)), f"CNN {name}")
        citations.add(("wightman2019timm",), f"CNN {name}")


def _first(patterns: Iterable[tuple[str, str]], name: str) -> tuple[str, ...]:
    return next(((key,) for pattern, key in patterns if re.search(pattern, name)), ())


def records_behind(table: Table, records: Iterable[Record]) -> Iterator[Record]:
    """The finished runs that a table's numbers are of."""
    from bench.report.arms import arms_of
    from bench.report.table import MEASURED, Number

    shown: dict[tuple[str, ...], set[tuple[object, ...]]] = {}
    for row in table.rows:
        for cell in row.cells if row.block == MEASURED else ():
            if isinstance(cell, Number) and cell.value is not None and cell.facts:
                names = WHOLE if "source" in cell.facts else WHICH
                shown.setdefault(names, set()).add(tuple(cell.facts.get(name) for name in names))
    for record, arm in arms_of(records).items():
        spec = record.spec
        said = {"options": " ".join(arm.option_changes()), "changes": " ".join(arm.changes_beside_backbone())}
        said |= {name: getattr(spec, name) for name in ("method", "train", "preset", "backbone", "fraction", "source")}
        each = [said | {"test": str(test)} for test in spec.tests]
        if record.done and any(tuple(map(one.get, names)) in shown[names] for one in each for names in shown):
            yield record


def sources_of(table: Table) -> list[str]:
    """The papers whose printed rows stand in a table."""
    return [name for name in PUBLISHED if any(row.block.startswith(name) for row in table.rows)]


@cache
def entries() -> dict[str, str]:
    """Every entry of the file by its key, in the file's order."""
    text = (Path(__file__).parent / "references.bib").read_text(encoding="utf-8")
    return {match[1]: match[0].strip() + "\n" for match in re.finditer(r"@\w+\{(\w+),.*?\n\}\n", text, re.DOTALL)}


def harness() -> str:
    """The entry of this software, at its version."""
    from bench import __version__

    return (
        "% what the numbers were made with\n"
        "@software{glia_bench,\n"
        "  title = {glia-bench: Ways of Fine-Tuning a Vision Transformer for Blind Image-Quality Assessment},\n"
        "  author = {{The glia-bench authors}},\n"
        f"  version = {{{__version__}}}\n"
        "}\n"
    )
