"""Splits of files on the command line: given with file:PATH, kept in the results folder, held against a rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.console import grid, note, say
from bench.cli.invocation import refuse_said_twice
from bench.core.errors import UsageError
from bench.core.files import expanded
from bench.core.mixes import is_mix

if TYPE_CHECKING:
    from bench.cli.config import Config
    from bench.data.dataset import Dataset
    from bench.data.foreign.sides import Sides

FILE = "file:"
_KEPT = re.compile(r"file:\d+:[0-9a-f]{16}")
_MOST_REMARKS = 5


def with_split_rule(
    settings: Sequence[str], split_rule: str, sets: Sequence[str], config: Config, *, partial: bool = False
) -> tuple[str, ...]:
    """The settings with `--split-rule`; a file is read, kept in the results folder, and goes by its hash from then on.

    `sets` are those that the user named to train on: a file is about one.
    """
    refuse_said_twice(settings, split_rule=split_rule)
    texts = [*settings, *([f"split_rule={split_rule}"] if split_rule else [])]
    return tuple(_kept(text, sets, config, partial=partial) for text in texts)


def _kept(text: str, sets: Sequence[str], config: Config, *, partial: bool) -> str:
    rule = text.removeprefix("split_rule=")
    if rule == text or not rule.startswith(FILE) or _KEPT.fullmatch(rule):
        return text
    if len(sets) != 1 or is_mix(sets[0]):
        named = f", not {', '.join(sets)}" if sets else ""
        raise UsageError(f"--split-rule {rule} is about one set: name it with --dataset or --train-on{named}.")
    from bench.data.foreign.kept import keep
    from bench.data.locate import load_dataset

    dataset = load_dataset(sets[0], config.data, config.cache, partial=partial)
    sides = _read(dataset, rule)
    _tell_remarks(dataset.name, sides)
    name = keep(dataset, sides, Path(config["results"]))
    note(f"{rule} is {name} of {dataset.name}: kept in {Path(config['results']) / 'splits'}.")
    return f"split_rule={name}"


def _read(dataset: Dataset, rule: str) -> list[Sides]:
    from bench.data.foreign.kept import read_sides

    return read_sides(dataset, expanded(rule.removeprefix(FILE)))


def _tell_remarks(name: str, sides: Sequence[Sides]) -> None:
    """Say what is odd about a file's splits, the first few of them."""
    remarks = [(number, remark) for number, each in enumerate(sides) for remark in each.remarks]
    for number, remark in remarks[:_MOST_REMARKS]:
        note(f"{name}, split {number} of the file: {remark}.")
    if len(remarks) > _MOST_REMARKS:
        note(f"{len(remarks) - _MOST_REMARKS} more such remarks on other splits of the file.")


def listed_rule(dataset: Dataset, rule: str, config: Config) -> str:
    """The rule to list splits by, a file's kept first."""
    if not rule.startswith(FILE) or _KEPT.fullmatch(rule):
        return rule
    from bench.data.foreign.kept import keep

    sides = _read(dataset, rule)
    _tell_remarks(dataset.name, sides)
    return keep(dataset, sides, Path(config["results"]))


def print_check(dataset: Dataset, rule: str, file: Path, config: Config) -> int:
    """Say of each split of a file whether it is the rule's; 1 where one is not."""
    from bench.data.foreign.kept import read_sides

    sides = read_sides(dataset, expanded(file))
    _tell_remarks(dataset.name, sides)
    rows = [(number, *_held_against(dataset, rule, number, each, config)) for number, each in enumerate(sides)]
    grid(
        ("split", "is it", "tested in the file", "by the rule", "in both"),
        rows,
        title=f"{dataset.name}: {file}, {rule}",
    )
    unlike = [row for row in rows if row[1] != "the same"]
    if not unlike:
        say(f"{file} has the splits of {rule}.")
    else:
        say(f"{file} does not have the splits of {rule}: {len(unlike)} of {len(rows)} differ.")
    return 1 if unlike else 0


def _held_against(dataset: Dataset, rule: str, number: int, sides: Sides, config: Config) -> tuple[Any, ...]:
    """(the same or not, pictures tested by the file, by the rule, by both); validation counts as training."""
    from bench.core.split_rules import splits_in
    from bench.data.foreign.sides import TEST, TRAIN, VALIDATION
    from bench.data.splits import count_of_splits, make_split

    known = splits_in(rule) or count_of_splits(dataset, rule)
    theirs = set(sides.rows(TEST).tolist())
    if known is not None and number >= known:
        return "not there", len(theirs), "", ""
    split = make_split(dataset, number, split_rule=rule, results=Path(config["results"]))
    ours = set(split.test.tolist())
    same_rest = {*split.train.tolist(), *split.validation.tolist()} == set(sides.rows(TRAIN, VALIDATION).tolist())
    same = ours == theirs and same_rest
    return "the same" if same else "another", len(theirs), len(ours), len(ours & theirs)
