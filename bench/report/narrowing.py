"""Which records a table is made of: those of the methods, datasets and preset asked for, and no smoke runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.core.errors import UsageError
from bench.core.mixes import sets_of
from bench.core.progress import counted
from bench.core.registry import stem_of
from bench.records.results import Record, Results

EVERY = "all"
"""What stands for every method."""


@dataclass(frozen=True)
class Narrowing:
    """What a user wants to see of a results folder; nothing named means everything there is, smoke runs aside."""

    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    preset: str = ""
    smoke: bool = False

    def __post_init__(self) -> None:
        if EVERY in self.methods:
            object.__setattr__(self, "methods", ())

    @property
    def partly(self) -> bool:
        """Whether a table of it lacks rows or columns that the whole one has."""
        return bool(self.methods or self.datasets)


def narrowed(results: Results, wish: Narrowing, data: Mapping[str, Any], tell: Callable[[str], object]) -> Results:
    """The results that were asked for; a name that no record has is told of, and one that nobody knows is an error.

    With datasets named, what is left trains and tests on these alone, as a plan with the same names would. The name of
    several sets trained on together (a+b) names each of them.
    """
    wish = replace(wish, datasets=tuple(dict.fromkeys(name for one in wish.datasets for name in sets_of(one))))
    _look_at_names(results, wish, data, tell)
    chosen = results.where(lambda record: _is_wanted(record, wish))
    if wish.datasets:
        named = set(wish.datasets)
        within = filter(None, (_within(record, named) for record in chosen.records))
        chosen = Results(within, intervals=chosen.intervals, raw_plcc=chosen.raw_plcc)
    if len(results) and not len(chosen):
        raise UsageError(f"Nothing to show: {counted(len(results), 'record')} here, and none of {_said(wish)}.")
    if wish.smoke:
        return chosen
    whole = chosen.where(lambda record: not record.spec.limit)
    smoke = len(chosen) - len(whole)
    if smoke and not len(whole):
        raise UsageError(f"Nothing to show but {counted(smoke, 'smoke run')} (made with --limit): --smoke shows them.")
    if smoke:
        tell(f"{counted(smoke, 'smoke run')} (made with --limit) left out; --smoke shows them.")
    return whole


def _said(wish: Narrowing) -> str:
    parts = [f"--method {','.join(wish.methods)}"] if wish.methods else []
    parts += [f"--dataset {','.join(wish.datasets)}"] if wish.datasets else []
    return " ".join(parts + ([f"--preset {wish.preset}"] if wish.preset else []))


def _is_wanted(record: Record, wish: Narrowing) -> bool:
    spec = record.spec
    method = not wish.methods or bool({spec.method, stem_of(spec.method)} & set(wish.methods))
    return method and wish.preset in ("", spec.preset)


def _within(record: Record, datasets: set[str]) -> Record | None:
    """A record with only those of its tests that are of these sets; None where it is of others."""
    tests = tuple(test for test in record.spec.tests if test.dataset in datasets)
    if not set(record.spec.trained_on) <= datasets or not tests:
        return None
    return record if tests == record.spec.tests else replace(record, spec=record.spec.with_tests(tests))


def _look_at_names(results: Results, wish: Narrowing, data: Mapping[str, Any], tell: Callable[[str], object]) -> None:
    """Say which of the names no record has; one that is unknown altogether is an error with suggestions."""
    from bench.core.registry import METHODS
    from bench.data.locate import loader_name

    specs = [record.spec for record in results.records]
    have = {spec.method for spec in specs} | {stem_of(spec.method) for spec in specs}
    for name in sorted(set(wish.methods) - have):
        METHODS.target(name)
        tell(f"No record here is of {name}.")
    seen = {name for spec in specs for name in spec.datasets}
    for name in sorted(set(wish.datasets) - seen):
        loader_name(name, data)
        tell(f"No record here is of {name}.")
