"""The numbers printed in the tables of the GLIA and LoDa papers, and what is odd about them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATASETS = {
    "LIVE": "live",
    "CSIQ": "csiq",
    "TID2013": "tid2013",
    "KADID-10k": "kadid10k",
    "KonIQ-10k": "koniq10k",
    "LIVEC": "livec",
    "SPAQ": "spaq",
    "FLIVE": "flive",
}
"""The papers' names of the datasets, and ours."""

METHODS = {
    "Linear probe": "linear_probe",
    "ViT (Linear Probe)": "linear_probe",
    "Full fine-tune": "full_finetune",
    "ViT (Full fine-tune)": "full_finetune",
    "Adapter": "adapter",
    "Adapter-ViT": "adapter",
    "Lora": "lora",
    "LoRA-ViT": "lora",
    "VPT": "vpt",
    "VPT-ViT": "vpt",
    "LoDa": "loda",
    "GLIA": "glia",
    "DEIQT": "deiqt",
    "HyperIQA": "hyperiqa",
    "BRISQUE": "brisque",
    "ILNIQE": "ilniqe",
}
"""The papers' names of the methods that can also be run here, and ours."""

RAW, MAPPED = "raw", "mapped"
OWN_CODE: dict[str, str] = {
    **dict.fromkeys(("DBCNN", "DB-CNN", "HyperIQA", "TReS", "TreS", "DEIQT"), RAW),
    **dict.fromkeys(("LoDa", "GLIA"), MAPPED),
    **dict.fromkeys(("Linear probe", "Full fine-tune", "Adapter", "Lora", "VPT"), MAPPED),
    **dict.fromkeys(("ViT (Linear Probe)", "ViT (Full fine-tune)", "Adapter-ViT", "LoRA-ViT", "VPT-ViT"), MAPPED),
}
"""Which PLCC a printed row used, where that is known: of the raw scores, as these methods' authors compute it in their
code and both papers copy it, or after the logistic, as LoDa's authors do in theirs and for what they ran themselves
(GLIA's say "same settings")."""

BEST, LAST = "best", "last"
OWN_EPOCH: dict[str, str] = {
    **{name: BEST for name, plcc in OWN_CODE.items() if plcc == RAW},
    **{name: LAST for name, plcc in OWN_CODE.items() if plcc == MAPPED},
}
"""Which epoch a printed row is of, where that is known: the best on the test part, as the same authors' code keeps it,
or the last, which LoDa's supplement names as others quote it, and by whose settings GLIA went."""

WHY_QUOTED: dict[str, str] = {
    "dbcnn": "half of it is pretrained on two further sets",
    "metaiqa": "meta-learned on other sets first",
    "p2pbm": "needs labels of patches",
    "musiq": "no training code was released",
    "tres": "its code is for academic use only",
    "daiqa": "not built here",
    "reiqa": "its encoders are pretrained on large sets",
    "qmamba": "no public code",
    "liqe": "trained on six sets at once",
    "shdiqa": "no public code",
    "qptresnet50": "its pretraining is not public",
    "wadiqamnr": "not built here",
    "tiqa": "not built here",
}
"""Why a printed system is not run here, in a few words; docs/comparators.md has more of them."""

Source = tuple[str, str]
"""A paper and the number of its table: ("GLIA", "1")."""

NOTES: dict[Source, dict[str, str]] = {
    ("GLIA", "1"): {
        "": "GLIA's text speaks of averages, its Table 1 of medians.",
        "GLIA": "Not the best of its own Table 1 on TID2013 (QMamba), LIVEC (SHDIQA, LIQE) and FLIVE (SHDIQA).",
        "Re-IQA": "The FLIVE pair of this row is QPT-ResNet50's in LoDa's Table 1.",
        "QMamba": "Other papers' copies of this row disagree with it.",
    },
    ("GLIA", "4"): {"": "GLIA's Table 4 prints PLCC before SRCC; here the order is that of all other tables."},
    ("GLIA", "5"): {
        "guidance=xs;main=xs": "On LIVEC this row's SRCC (0.901) is above the full model's (0.899).",
    },
    ("GLIA", "6"): {
        "Full fine-tune": "LoDa's Table 6 has 0.874 SRCC on KonIQ-10k for it, GLIA's 0.929.",
        "Adapter": "GLIA cites ViT-Adapter for it, but its numbers are nearly those of LoDa's (Houlsby) adapter.",
        "Lora": "Copied from LoDa's Table 6.",
        "VPT": "Copied from LoDa's Table 6.",
        "LoDa": "Copied from LoDa's Table 6.",
    },
}
"""Footnotes by table, then by method or variant ("" is for the whole table). The numbers themselves are as printed."""


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table: its numbers by (train, test, metric), datasets under our names."""

    source: Source
    method: str
    params_m: str
    fraction: float
    variant: str
    values: dict[tuple[str, str, str], float]

    @property
    def registered(self) -> str:
        """Our name of the method; empty where it cannot be run here."""
        if self.variant == "module=ViT":  # LoDa's Table 7 without any of LoDa's parts: its Table 6's full fine-tune
            return "full_finetune"
        return METHODS.get(self.method, "")

    @property
    def plcc(self) -> str:
        """Which PLCC it used: "raw", "mapped", or nothing where that is not known."""
        return OWN_CODE.get(self.method, "")

    @property
    def epoch(self) -> str:
        """Which epoch it is of: "best" on the test part, "last", or nothing where that is not known."""
        return OWN_EPOCH.get(self.method, "")

    @property
    def label(self) -> str:
        """The method as printed, fine-tuned parameters in parentheses where the paper gives them."""
        return f"{self.method} ({self.params_m}M)" if self.params_m else self.method

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the row."""
        known = NOTES.get(self.source, {})
        keys = dict.fromkeys((self.method, self.variant))
        return tuple(known[key] for key in keys if key and key in known)


@cache
def rows(source: Source) -> tuple[PublishedRow, ...]:
    """The rows of a published table in the order they are printed."""
    by_place: dict[tuple[str, str, str, str], PublishedRow] = {}
    for line in _lines():
        if (line["paper"], line["table"]) != source:
            continue
        key = (line["method"], line["params_m"], line["fraction"], line["variant"])
        fraction = float(line["fraction"] or 0.8)
        row = by_place.setdefault(key, PublishedRow(source, key[0], key[1], fraction, key[3], {}))
        row.values[DATASETS[line["train"]], DATASETS[line["test"]], line["metric"]] = float(line["value"])
    return tuple(by_place.values())


def run_note(sources: Iterable[Source]) -> str:
    """Which methods of printed tables are run here, and which are quoted only and why; nothing where all are run."""
    known: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for row in (row for source in sources for row in rows(source)):
        known[bool(row.registered)].setdefault(_one_spelling(row.method), row.method)
    if not known[False]:
        return ""
    run = f"run here: {_listed(known[True].values())}; " if known[True] else ""
    why = (f"{name} ({WHY_QUOTED[key]})" if key in WHY_QUOTED else name for key, name in known[False].items())
    return f"Of the published rows, {run}quoted only: {_listed(why)}. More of it: docs/comparators.md."


def _one_spelling(method: str) -> str:
    """A method's name as all spellings of it have it: DBCNN and DB-CNN, TReS and TreS."""
    return method.replace("-", "").lower()


def _by_fact(printed: Iterable[PublishedRow], fact: Callable[[PublishedRow], str]) -> dict[str, list[str]]:
    """The methods of printed rows by something that is known of them, each in its first spelling."""
    named: dict[str, dict[str, str]] = {}
    for row in printed:
        named.setdefault(fact(row), {}).setdefault(_one_spelling(row.method), row.method)
    return {known: list(names.values()) for known, names in named.items()}


def plcc_note(printed: Iterable[PublishedRow]) -> str:
    """Which PLCC the printed rows used, in a sentence; nothing where they have none."""
    with_plcc = (row for row in printed if any(metric == "plcc" for *_, metric in row.values))
    named = _by_fact(with_plcc, lambda row: row.plcc)
    said = [
        f"{words} in {_listed(named[kind])}"
        for kind, words in ((MAPPED, "after the logistic"), (RAW, "of the raw scores"))
        if kind in named
    ]
    if not said:
        return ""
    trust = ' (of GLIA by its word "same settings")' if "GLIA" in named.get(MAPPED, ()) else ""
    return f"Published PLCC{trust}: {', '.join(said)}{'; of the others it is not known' if '' in named else ''}."


def epoch_note(printed: Iterable[PublishedRow]) -> str:
    """Which epoch the printed rows are of, in a sentence; nothing where there are none."""
    named = _by_fact(printed, lambda row: row.epoch)
    said = []
    if BEST in named:
        said.append(f"the best on the test part in {_listed(named[BEST])}, as their code has it")
    if LAST in named:
        trust = ' and by GLIA\'s word "same settings"' if "GLIA" in named[LAST] else ""
        said.append(f"the last in {_listed(named[LAST])}, by LoDa's supplement as others quote it{trust}")
    if not said:
        return ""
    return f"Published epoch: {'; '.join(said)}{'; of the others it is not known' if '' in named else ''}."


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def name_of(source: Source) -> str:
    """How a source is called in tables."""
    return f"{source[0]}, Table {source[1]}"


@cache
def _lines() -> tuple[dict[str, str], ...]:
    path = Path(__file__).with_name("tables.csv")
    with path.open(encoding="utf-8", newline="") as handle:
        return tuple(csv.DictReader(handle))
