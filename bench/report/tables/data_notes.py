"""Notes below a table on its data: what a column can resolve, what moves a score, and where rows saw other data."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.core.errors import RunError, StoreError
from bench.core.progress import counted
from bench.planning.presets import made_sets
from bench.planning.usual import fact_of
from bench.records.results import FEW_PICTURES, Experiment, Record
from bench.report.cells import Cell

if TYPE_CHECKING:
    from bench.metrics.variance import Spread
    from bench.report.tables.fill import Column

UNKNOWN = "unknown"
FLAT = 0.1
"""A learning curve is flat once an epoch lowers the mean loss by this share at most."""


def seed_notes(labels: Sequence[str], columns: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> Iterator[str]:
    """In k-fold, which numbers have fewer seeds than others, whose runs are left out, and what several seeds tell."""
    groups: dict[int, list[str]] = {}
    left = Counter[str]()
    for label, row in zip(labels, cells, strict=True):
        known = {n: _sets_under(n, columns, row) for n in sorted({cell.seeds for cell in row if cell.folds})}
        for n, sets in known.items():
            groups.setdefault(n, []).append(f"{label} on {' and '.join(sets)}" if len(known) > 1 else label)
        left[label] += len({record.key for cell in row for record in cell.left_out})
    *fewer, others = sorted(groups, key=lambda n: len(groups[n])) or [0]
    if fewer:
        named = "".join(f"Under {counted(n, 'seed')}: {'; '.join(dict.fromkeys(groups[n]))}. " for n in fewer)
        yield f"{named}The others: {counted(others, 'seed')}."
    if named := "; ".join(f"{label} ({counted(n, 'run')})" for label, n in left.items() if n):
        yield f"Left out until all folds of their seed are in: {named}."
    if max(groups, default=0) > 1:
        yield from _spread_notes(labels, columns, cells)


def _sets_under(seeds: int, columns: Sequence[Column], row: Sequence[Cell]) -> list[str]:
    """Where a row's numbers have so many seeds."""
    under = [column for column, cell in zip(columns, row, strict=True) if cell.folds and cell.seeds == seeds]
    return list(dict.fromkeys(map(_title_of, under)))


def _spread_notes(labels: Sequence[str], columns: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> Iterator[str]:
    """What moves one content's SRCC in k-fold under several seeds, of each row that has predictions."""
    for j, column in enumerate(columns):
        if column.metric != "srcc":
            continue
        spreads = ((label, _spread_of(row[j])) for label, row in zip(labels, cells, strict=True))
        if said := [f"{label} {spread.text}" for label, spread in spreads if spread]:
            yield (
                f"One content's SRCC on {_title_of(column)} has these standard deviations by content/seed/pictures: "
                f"{'; '.join(said)}."
            )


def _spread_of(cell: Cell) -> Spread | None:
    from bench.metrics.variance import spread_of

    try:
        return spread_of(cell.by_seed()) if cell.seeds > 1 else None
    except (StoreError, RunError):
        return None


def learning_note(labels: Sequence[str], cells: Sequence[Sequence[Cell]]) -> tuple[str, ...]:
    """Which rows' learning curves had not flattened when training ended: more epochs might change their order."""
    curves: dict[str, list[Sequence[float]]] = {}
    for label, row in zip(labels, cells, strict=True):
        losses = [record.body.get("loss") or () for record in runs_behind(row)]
        curves.setdefault(label, []).extend(curve for curve in losses if len(curve) > 1)
    said = []
    for label, known in curves.items():
        if falling := sum(curve[-1] < (1 - FLAT) * curve[-2] for curve in known):
            said.append(label if falling == len(known) else f"{label} ({falling} of {len(known)} runs)")
    if not said:
        return ()
    return (
        f"Still learning when training ended (the last epoch's loss more than {FLAT:.0%} below that of the one "
        f"before): {', '.join(said)}. More epochs might change the order.",
    )


def runs_behind(cells: Iterable[Cell]) -> list[Record]:
    """Every run of the cells once, though it stands in several columns."""
    return list(dict.fromkeys(record for cell in cells for record in cell.by_split.values()))


def data_notes(columns: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> tuple[str, ...]:
    """What the columns' data mean for the numbers: resolution, and warnings where rows saw different data."""
    notes = []
    errors: dict[str, str] = {}
    differing: dict[Experiment, str] = {}
    for j, column in enumerate(columns):
        of_column = [row[j] for row in cells]
        if column.experiment not in differing:  # its other metrics are of the same runs
            differing[column.experiment] = _differing(of_column)
        if hashes := differing[column.experiment]:
            notes.append(f"Warning: the rows of {column.group} differ in {hashes}: they are not on identical data.")
        if column.metric == "srcc" and (error := _standard_error(of_column)):
            errors[_title_of(column)] = error
    notes += _ceilings(columns, cells)
    notes += _dataset_notes(cells)
    notes += _few_pictures(columns, cells)
    if errors:
        notes.append(_errors_note(errors))
    return tuple(dict.fromkeys(notes))


def _errors_note(errors: Mapping[str, str]) -> str:
    """What gap between medians a column can resolve; no number where its test part has too few contents."""
    known = ", ".join(f"{name} {error}" for name, error in errors.items() if error != UNKNOWN)
    unknown = ", ".join(name for name, error in errors.items() if error == UNKNOWN)
    too_few = f"nknown for {unknown}: too few contents in a test part."
    if not known:
        return f"Standard error of one split's SRCC: u{too_few}"
    return (
        f"Standard error of one split's SRCC, of the column's best median, by contents where a test part has any: "
        f"{known}. Smaller gaps between medians mean little by themselves." + (f" U{too_few}" if unknown else "")
    )


def _ceilings(columns: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> list[str]:
    """How well the labels of each column's test parts could be predicted, where their opinions are published."""
    said: dict[str, str] = {}
    for j, column in enumerate(columns):
        ceilings = [test["ceiling"] for row in cells for _, _, test in _data_of(row[j]) if test.get("ceiling")]
        if ceilings and _title_of(column) not in said:
            srcc, plcc = (statistics.median(one[name] for one in ceilings) for name in ("srcc", "plcc"))
            said[_title_of(column)] = f"{_title_of(column)} SRCC {srcc:.3f}, PLCC {plcc:.3f}"
    if not said:
        return []
    known = "; ".join(said.values())
    return [
        f"Label noise: true qualities themselves would correlate with these labels no better than {known} (from the "
        "opinions' standard deviations)."
    ]


def _few_pictures(columns: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> list[str]:
    """Which columns rest on so few pictures that their numbers say little."""
    notes: dict[Experiment, str] = {}
    for j, column in enumerate(columns):
        sizes = [test.get("n") for row in cells for _, _, test in _data_of(row[j])]
        least = min((int(n) for n in sizes if n), default=FEW_PICTURES)
        if least < FEW_PICTURES:
            notes.setdefault(column.experiment, f"{_title_of(column)} ({least})")
    if not notes:
        return []
    return [
        f"Few pictures in a test part: {', '.join(notes.values())}. Correlations over so few change much from split to "
        "split, and PLCC follows a curve fitted to them."
    ]


def _title_of(column: Column) -> str:
    """A column's name without its metric."""
    return f"{column.group} → {column.name}" if column.name else column.group


def _dataset_notes(cells: Sequence[Sequence[Cell]]) -> list[str]:
    """What the datasets' loaders said of them (which labels, what was left out); demo sets have a note of their own."""
    notes: dict[str, None] = {}
    for cell in (cell for row in cells for cell in row):
        for record in (record for record in cell.records[:1] if record.spec.train not in made_sets()):
            train = record.section("data").get("train", {})
            notes |= dict.fromkeys(f"{train.get('name')}: {note}" for note in train.get("notes") or ())
    return sorted(notes)


def _differing(cells: Sequence[Cell]) -> str:
    """Which hashes of the data differ between rows of one column: of datasets (a schema's own), pictures, splits."""
    by_set: dict[tuple[object, ...], set[object]] = {}
    for cell in cells:
        for record, train, test in _data_of(cell):
            for name, data in (("the training set", train), ("the test set", test)):
                by_set.setdefault((name, record.spec.schema), set()).add(data.get("hash"))
                by_set.setdefault((f"the pictures of {name}",), set()).add(data.get("pixels"))
            by_set.setdefault(
                ("the split", record.spec.fraction, record.spec.split, record.spec.split_rule), set()
            ).add(train.get("split_hash"))
    names = {str(about[0]) for about, hashes in by_set.items() if len(hashes - {None, ""}) > 1}
    return " and ".join(sorted(names))


def _data_of(cell: Cell) -> Iterator[tuple[Record, Mapping[str, Any], Mapping[str, Any]]]:
    """Each run, and what it says of its training set and of the cell's test set."""
    for record in cell.records:
        data = record.section("data")
        yield record, data.get("train", {}), data.get("tests", {}).get(cell.experiment.target, {})


def _standard_error(cells: Sequence[Cell]) -> str:
    """The standard error of the SRCC at one split, for the column's best median that is ranked; empty if unknown."""
    known = [cell for cell in cells if cell.values and all(fact_of(r.spec.method, "ranked") for r in cell.records)]
    if not known:
        return ""
    best = max(known, key=lambda cell: cell.median or 0.0)
    tests = [test for _, _, test in _data_of(best)]
    images = min((int(test["n"]) for test in tests if test.get("n")), default=0)
    contents = min((int(test["contents"]) for test in tests if test.get("contents")), default=0)
    if contents == images:
        return _independent(best, images)
    return _by_contents(best) or f"at least {_independent(best, images)}"


def _independent(cell: Cell, images: int) -> str:
    """By a formula for images that have nothing to do with one another."""
    from bench.metrics.comparisons import srcc_standard_error

    median = cell.median
    return "" if median is None or images <= 3 else f"{srcc_standard_error(images, median):.3f}"


def _by_contents(cell: Cell) -> str:
    """From the stored predictions, by leaving out one content after the other; empty where none can be read."""
    from bench.metrics.contents import standard_error

    try:
        tested = list(cell.predictions().values())
        error = standard_error(tested) if tested else None
    except (StoreError, RunError):
        return ""
    if not tested:
        return ""
    return UNKNOWN if error is None else f"{error:.3f}"
