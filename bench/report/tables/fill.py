"""Tables as protocols describe them: lines (arms) by columns (experiments), filled from records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.core.mixes import is_mix, mix_of, sets_of
from bench.core.registry import DATASETS
from bench.core.spec import SCHEMA, Target
from bench.core.split_rules import AT_RANDOM
from bench.data.locate import TITLES
from bench.planning.presets import Preset
from bench.planning.usual import OWN, fact_of, own_recipe
from bench.records.results import Experiment, Record
from bench.report.arms import Arm, count_text, shared_changes
from bench.report.cells import Cell, cost_of, rank_published, summarise
from bench.report.mixing import columns_of, mixtures
from bench.report.published import BEST, NOTES, PublishedRow, Source, epoch_note, name_of, plcc_note, run_note
from bench.report.published import DATASETS as PUBLISHED_DATASETS
from bench.report.published import rows as published_rows
from bench.report.selection import PresetResults, by_preset
from bench.report.table import UNRANKED, Number, Row, Table
from bench.report.tables.data_notes import data_notes, learning_note, runs_behind, seed_notes
from bench.report.tables.differences import with_difference_columns
from bench.report.tables.notes import (
    Network,
    conditions,
    legend,
    line_notes,
    logistic_notes,
    usual_weights,
    without_shared_notes,
)

__all__ = [
    "Column",
    "Layout",
    "Line",
    "PresetResults",
    "by_preset",
    "dataset_title",
    "fill",
    "own_columns",
    "transposed",
]

RAW = "plcc_raw"
METRIC_TITLES = {"srcc": "SRCC", "plcc": "PLCC", "krcc": "KRCC", "rmse": "RMSE", "plcc_raw": "raw PLCC"}
PRINTED_PLCC = {"mapped": "plcc", "raw": RAW, "": "plcc_unstated"}
"""What the tidy CSV calls the PLCC of a published row: a table shows it as printed, whichever it is."""


@dataclass(frozen=True)
class Column:
    """A column of numbers: a metric of an experiment, under a group's heading."""

    group: str
    experiment: Experiment
    metric: str = "srcc"
    name: str = ""

    @property
    def header(self) -> tuple[str, str]:
        """The two levels of its heading."""
        return self.group, self.name or METRIC_TITLES.get(self.metric, self.metric)


@dataclass(frozen=True)
class Line:
    """A row to be filled: an arm under its leading cells.

    `base` is the arm without what the leading cells already say; `fraction` and `train` replace the columns' own, and
    where a set is trained on, its own test part stands in its column; `variant` is what the papers' tables call this
    row's setting.
    """

    lead: tuple[str, ...]
    arm: Arm
    base: Arm
    fraction: float | None = None
    variant: str = ""
    train: str = ""

    def experiment(self, column: Column) -> Experiment:
        """What stands in a column of this row."""
        result = column.experiment
        if self.train:
            own = result.tested in sets_of(self.train)
            result = replace(result, train=self.train, target=Target.of(result.tested) if own else result.target)
        return result if self.fraction is None else replace(result, fraction=self.fraction)


@dataclass(frozen=True)
class Layout:
    """Everything that sets one table apart from another."""

    name: str
    title: str
    leads: tuple[str, ...]
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    named_lead: int = 0
    """Which leading cell names the method: it gets the parameters and the changed settings."""
    counted: bool = True
    """Whether that cell shows the trainable parameters in parentheses."""
    ranked_within: int | None = None
    """The leading cell within whose equal values rows are ranked and compared; None: within the whole block."""
    published: tuple[Source, ...] = ()
    published_lead: Callable[[PublishedRow], tuple[str, ...]] = lambda row: (row.label,)
    tiers: tuple[str, str] = ("", "")
    notes: tuple[str, ...] = ()


def dataset_title(name: str) -> str:
    """A dataset as the papers' tables spell it, or as bench.toml calls the user's own; of several, each of them."""
    if is_mix(name):
        return mix_of(name).titled(dataset_title)
    if name in TITLES:
        return TITLES[name]
    if name in DATASETS and (title := DATASETS.card(name).facts["title"]):
        return str(title)
    printed = {ours: theirs for theirs, ours in PUBLISHED_DATASETS.items()}
    return printed.get(name, name)


def own_columns(datasets: Iterable[str], metrics: Sequence[str] = ("srcc", "plcc"), **changes: object) -> list[Column]:
    """Columns for sets tested on their own held-out part: SRCC and PLCC under each set's name."""
    return [
        Column(dataset_title(name), Experiment(name, Target.of(name), **changes), metric)  # type: ignore[arg-type]
        for name in datasets
        for metric in metrics
    ]


def fill(results: PresetResults, layout: Layout) -> Table:
    """The table of a layout: measured block, published block where the data are the papers', notes and footer."""
    if results.raw_plcc:
        layout = with_raw_plcc(layout)
    cells = [[_cell(results, line, column) for column in layout.columns] for line in layout.lines]
    rules = results.rules
    records = runs_behind(cell for row in cells for cell in row)
    folds = _folds_of(records)
    asked = _asked(rules.planned(results.preset), cells)
    of = max([rules.planned(results.preset), *(n for row in asked for n in row)])
    contests = [_contest_of(layout, line) for line in layout.lines]
    numbers = summarise(cells, asked, contests, intervals=results.intervals)
    if not rules.ranked:
        numbers = [[replace(number, rank=0, tied=False) for number in row] for row in numbers]
    numbers = _with_facts(results, layout, numbers)
    synthetic = results.preset.made
    sources = layout.published if rules.published and not synthetic else ()
    numbers = _with_differences(results.preset, layout, numbers, cells, sources)
    common = shared_changes([line.base for line in layout.lines])
    labels = [line.arm.label(common) for line in layout.lines]
    mixed = mixtures(columns_of(labels, cells))
    usual = usual_weights(records)
    rows = [
        _measured_row(layout, line, common, usual, tuple(numbers[i]), cells[i]) for i, line in enumerate(layout.lines)
    ]
    published = _published_rows(layout, sources)
    rows, alike = (rows, ()) if published else without_shared_notes(rows)
    rows += published
    table = Table(
        name=layout.name + rules.suffix + results.preset.suffix,
        title=" ".join(filter(None, [results.preset.heading, layout.title, rules.title])),
        leads=layout.leads,
        header=tuple(column.header for column in layout.columns),
        rows=tuple(rows),
        notes=(
            *legend(rows, of, results.preset, _datasets(layout), folds),
            *alike,
            *rules.notes,
            *layout.notes,
            *data_notes(layout.columns, cells),
            *learning_note(labels, cells),
            *seed_notes(labels, layout.columns, cells),
            *filter(None, _on_published(layout, sources)),
        ),
        footer=(*conditions(records, results.preset, common, of), *(f"Mixed: {line}." for line in mixed)),
        tiers=layout.tiers,
        demo=synthetic,
        mixed=mixed,
    )
    return with_difference_columns(table)


def _on_published(layout: Layout, sources: Sequence[Source]) -> list[str]:
    """Notes on the papers' rows: of each paper, which systems run here, and which PLCC and epoch they printed."""
    printed = [row for source in sources for row in published_rows(source)]
    notes = [*(NOTES.get(source, {}).get("", "") for source in sources), run_note(sources)]
    if any(column.metric in ("plcc", RAW) for column in layout.columns):
        notes.append(plcc_note(printed))
    return [*notes, epoch_note(printed)]


def with_raw_plcc(layout: Layout) -> Layout:
    """The layout with the PLCC of the raw scores in place of that after the logistic, and a name of its own for it."""
    columns = tuple(_raw(column) if _is_plcc(column) else column for column in layout.columns)
    changed = columns != layout.columns
    return replace(layout, columns=columns, name=f"{layout.name}_raw_plcc") if changed else layout


def _is_plcc(column: Column) -> bool:
    """Whether it is of a PLCC after the logistic, of a whole test part or of a group of its pictures."""
    return column.metric.partition("/")[0] == "plcc"


def _raw(column: Column) -> Column:
    name = f"raw {column.name}" if "PLCC" in column.name else column.name
    return replace(column, metric=column.metric.replace("plcc", RAW, 1), name=name)


def _asked(planned: int, cells: Sequence[Sequence[Cell]]) -> list[list[int]]:
    """How many runs a complete number of each cell has: in k-fold all folds under the cell's own seeds."""
    most = max([planned, *(cell.splits for row in cells for cell in row if not cell.folds)])
    return [[cell.folds * cell.seeds or most for cell in row] for row in cells]


def _folds_of(records: Sequence[Record]) -> int:
    """How many folds the sets of all runs were dealt to; 0 where some were split otherwise."""
    known = {record.spec.folds for record in records}
    return known.pop() if len(known) == 1 else 0


def _datasets(layout: Layout) -> set[str]:
    """The sets that a layout's columns train or test on."""
    return {name for column in layout.columns for name in column.experiment.datasets}


def transposed(table: Table, leads: tuple[str, str]) -> Table:
    """A table with many columns turned on its side: its columns become rows, led by both levels of their header."""
    rows = tuple(Row(header, tuple(row.cells[j] for row in table.rows)) for j, header in enumerate(table.header))
    notes = [note.replace("of its column", "of its row") for note in table.notes]
    notes += [f"{row.label}: {note}" for row in table.rows for note in row.notes]
    header = tuple(("", row.label) for row in table.rows)
    return replace(table, leads=leads, header=header, rows=rows, notes=tuple(notes), tiers=("", ""))


def _cell(results: PresetResults, line: Line, column: Column) -> Cell:
    experiment = line.experiment(column)
    return Cell.of(results.runs(line.arm, experiment), experiment, column.metric)


def _contest(layout: Layout, lead: tuple[str, ...]) -> str:
    """The name of the rows that a row is ranked among."""
    return "" if layout.ranked_within is None else lead[layout.ranked_within]


def _contest_of(layout: Layout, line: Line) -> str:
    """The same of a measured row; a method that knows what none may know takes part in no contest."""
    return _contest(layout, line.lead) if fact_of(line.arm.method, "ranked") else UNRANKED


def _measured_row(
    layout: Layout,
    line: Line,
    common: tuple[str, ...],
    usual: Mapping[Network, str],
    numbers: tuple[Number, ...],
    cells: list[Cell],
) -> Row:
    records = runs_behind(cells)
    cost = cost_of(records)
    label = line.lead[layout.named_lead]
    if layout.counted and cost.trainable is not None:
        label += f" ({count_text(cost.trainable)})"
    changes = [*line.base.option_changes(), *(c for c in line.base.run_changes() if c not in common)]
    lead = list(line.lead)
    lead[layout.named_lead] = ", ".join([label, *changes])
    contest = _contest_of(layout, line)
    notes = (*line_notes(line.arm, records, usual, common), *logistic_notes(layout.columns, cells))
    return Row(tuple(lead), numbers, notes=notes, cost=cost, contest=contest)


def _with_facts(results: PresetResults, layout: Layout, numbers: list[list[Number]]) -> list[list[Number]]:
    """What the tidy CSV says of each number."""
    filled = []
    for line, row in zip(layout.lines, numbers, strict=True):
        arm = line.arm
        shared = {
            "method": arm.method,
            "options": " ".join(arm.option_changes()),
            "backbone": arm.backbone,
            "changes": " ".join(arm.changes_beside_backbone()),
            "preset": results.preset.name,
        }
        facts = []
        for column, number in zip(layout.columns, row, strict=True):
            experiment = line.experiment(column)
            about = {
                "train": experiment.train,
                "test": experiment.target,
                "fraction": experiment.fraction,
                "source": experiment.source,
                "metric": column.metric,
            }
            facts.append(replace(number, facts={**shared, **about}))
        filled.append(facts)
    return filled


def _with_differences(
    preset: Preset, layout: Layout, numbers: list[list[Number]], cells: list[list[Cell]], sources: Sequence[Source]
) -> list[list[Number]]:
    """Fill measured − published where a published number was made on the same data, split rule and backbone."""
    for i, line in enumerate(layout.lines):
        theirs = [row for source in sources for row in published_rows(source) if _same_setting(line, row, preset)]
        for j, column in enumerate(layout.columns):
            alike = [row for row in theirs if _computed_alike(column, row)]
            known = [row.values[key] for row in alike if (key := _published_key(column)) in row.values]
            number = numbers[i][j]
            if known and number.complete and number.value is not None and cells[i][j].follows_papers():
                numbers[i][j] = replace(number, difference=number.value - known[0])
    return numbers


def _same_setting(line: Line, row: PublishedRow, preset: Preset) -> bool:
    """Whether a published row is about this line: same method, variant and recipe, nothing changed, the papers' ViT.

    What papers print of the best epoch on the test part is held against no number of the last one.
    """
    base = line.base
    plain = not base.options and not base.recipe and base.weights == "pretrained"
    plain = plain and base.backbone == base.usual_backbone
    plain = plain and base.cnn_weights == "pretrained" and base.split_rule in AT_RANDOM
    plain = plain and base.precision == "fp32" and row.epoch != BEST
    plain = plain and base.recipe_from == (OWN if own_recipe(base.method) else "default")
    plain = plain and not base.limit and not base.budget and base.schema == SCHEMA
    fraction = 0.8 if line.fraction is None else line.fraction
    return plain and row.registered == line.arm.method and row.variant == line.variant and row.fraction == fraction


def _computed_alike(column: Column, row: PublishedRow) -> bool:
    """Whether a printed number is of the metric that the column has, not of PLCC in its other sense."""
    return {"plcc": row.plcc == "mapped", RAW: row.plcc == "raw"}.get(column.metric, True)


def _published_key(column: Column) -> tuple[str, str, str]:
    return column.experiment.train, column.experiment.tested, "plcc" if column.metric == RAW else column.metric


def _published_rows(layout: Layout, sources: Sequence[Source]) -> list[Row]:
    """The published blocks, a later paper's rows only where they say something that an earlier block does not."""
    published: list[Row] = []
    shown: set[tuple[str, float, str, object]] = set()
    for source in sources:
        new = []
        for row, numbers in _published_numbers(layout, source):
            what = (row.method.replace("-", "").lower(), row.fraction, row.variant)
            said = {(*what, (j, n.value)) for j, n in enumerate(numbers) if n.value is not None}
            if said - shown:
                new.append(Row(layout.published_lead(row), numbers, block=name_of(source), notes=row.notes))
            shown |= said
        published += new
    return published


def _published_numbers(layout: Layout, source: Source) -> list[tuple[PublishedRow, tuple[Number, ...]]]:
    """Every row of a published table with its numbers in the layout's columns, ranked among all rows of that table."""
    rows = list(published_rows(source))
    values = [[row.values.get(_published_key(column)) for column in layout.columns] for row in rows]
    if not rows:
        return []
    ranks = rank_published(values, [_contest(layout, layout.published_lead(row)) for row in rows])
    return [
        (
            row,
            tuple(
                Number(value, rank=mark, facts=_published_facts(row, column))
                for value, mark, column in zip(own, marks, layout.columns, strict=True)
            ),
        )
        for row, own, marks in zip(rows, values, ranks, strict=True)
    ]


def _published_facts(row: PublishedRow, column: Column) -> dict[str, object]:
    return {
        "method": row.method,
        "options": row.variant,
        "train": column.experiment.train,
        "test": column.experiment.target,
        "fraction": row.fraction,
        "metric": PRINTED_PLCC[row.plcc] if column.metric in ("plcc", RAW) else column.metric,
    }
