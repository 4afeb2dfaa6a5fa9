"""What `bench splits` and `bench methods check` print."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from bench.cli.config import Config
from bench.cli.console import grid, note, say
from bench.core.errors import UsageError
from bench.core.progress import counted

USUAL_SPLITS = 10
"""As many as the papers have; so many are listed where a set has them and none are asked for."""


def print_splits(config: Config, name: str, numbers: Sequence[int], export: Path | None, split_rule: str) -> None:
    """The splits of a dataset: a line each, or every image's side as CSV. No number: the first ten there are."""
    from bench.cli.split_files import listed_rule
    from bench.core.files import write_named
    from bench.data.locate import load_dataset
    from bench.data.splits import count_of_splits, make_split, too_many_splits

    dataset = load_dataset(name, config.data, config.cache)
    split_rule = listed_rule(dataset, split_rule, config)
    count = count_of_splits(dataset, split_rule)
    if split_rule == "random" and count is not None and any(number >= count for number in numbers):
        raise UsageError(too_many_splits(name, dataset.table["group"].nunique(), count))
    if not numbers:
        numbers = range(min(USUAL_SPLITS, count or USUAL_SPLITS))
        if len(numbers) < USUAL_SPLITS and split_rule == "random":
            few = counted(dataset.table["group"].nunique(), "content")
            note(f"{name} has {few} and so only {count} different test parts: these are all its splits.")
    names = dataset.table["image"].tolist()
    rows, sides = [], [("split", "side", "image")]
    for number in numbers:
        split = make_split(dataset, number, split_rule=split_rule, results=Path(config["results"]))
        groups = dataset.table["group"]
        contents = (groups.iloc[split.train].nunique(), groups.iloc[split.test].nunique())
        rows.append((number, len(split.train), len(split.test), *contents, split.hash(names)))
        for side, part in (("train", split.train), ("test", split.test)):
            sides += [(str(number), side, names[i]) for i in part]
    grid(
        ("split", "train images", "test images", "train contents", "test contents", "hash"),
        rows,
        title=f"{dataset.name}, {split_rule}",
    )
    if export is not None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(sides)
        write_named(export, text.getvalue().encode())
        say(f"Written: {export}")


def check_method_and_print(name: str, backbone: str, settings: Sequence[str]) -> int:
    """Run the conformance list on a method and print it; 1 when something does not hold."""
    from bench.models.conformance import check_method
    from bench.planning.plan import sort_settings

    options = sort_settings(settings, [name], []).methods.get(name, {})
    results = check_method(name, options, backbone=backbone)
    grid(("check", "holds", "seen"), [(r.name, "yes" if r.passed else "NO", r.detail) for r in results], title=name)
    return 0 if all(r.passed for r in results) else 1
