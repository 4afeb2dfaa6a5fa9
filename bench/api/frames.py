"""What is in a results folder as pandas DataFrames: every number, a table, two methods compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.settings import File, Names, settings_for, words
from bench.core.errors import UsageError, suggest

if TYPE_CHECKING:
    import pandas as pd

    from bench.records.results import Record, Results
    from bench.report.arms import Arm
    from bench.report.compare import Comparison, PairedDifference
    from bench.report.table import Number, Table

METRICS = ("srcc", "plcc", "plcc_raw", "krcc", "rmse")
COLUMNS = (
    "key", "kind", "method", "title", "options", "changes", "preset", "backbone", "weights", "train", "test", "part",
    "fraction", "source", "split", "split_rule", "selection", "seed", "precision", "limit", "trainable", "code",
    "metric", "value",
)  # fmt: skip
"""The columns of `bench.results()`; docs/python.md says what each holds."""
COMPARED = (
    "preset", "a", "b", "train", "test", "part", "fraction", "source", "metric", "difference", "splits", "low", "high",
    "p", "p_holm", "better", "contents", "contents_low", "contents_high",
)  # fmt: skip
"""The columns of `bench.compare()`."""
OVER = ("difference", "low", "high", "p", "p_holm", "contents", "contents_low", "contents_high")
"""Those that are numbers or nothing."""


def results(folder: File = None, *, config: File = None, plugins: Sequence[str | Path] = ()) -> pd.DataFrame:
    """Every number of every finished run in a results folder, one a row: `folder`, or what bench.toml says.

    A folder without runs gives a frame without rows.
    """
    return tidy(_records(folder, config, plugins).records)


def table(
    name: str = "main",
    folder: File = None,
    *,
    methods: Names = (),
    datasets: Names = (),
    preset: str = "",
    selection: str | None = None,
    published: bool = False,
    intervals: bool = False,
    cost: bool = False,
    smoke: bool = False,
    strict: bool = False,
    config: File = None,
    plugins: Sequence[str | Path] = (),
) -> pd.DataFrame:
    """A table, as `bench table` prints it: by its own name ("main_demo") or by its protocol's, whose first one it is.

    Rows are led by the method, columns by set and metric; numbers are medians over splits. `published` adds the papers'
    rows under a further level of the index, `source`. The title, the notes, the footer and the names of the protocol's
    other tables stand in `attrs`, and below the table where a notebook shows it.
    """
    from bench.api.noted import noted
    from bench.core.spec import recipe_options
    from bench.report.narrowing import Narrowing, narrowed

    rule = recipe_options()["selection"].parse(selection) if selection is not None else None
    of = settings_for(config, plugins, preset=preset or None)
    there = _records(folder, config, plugins)
    wish = Narrowing(words(methods), words(datasets), of.preset if preset else "", smoke)
    told: list[str] = []
    records = narrowed(there, wish, of.data, told.append)
    chosen, others = _named(records, name, selection=rule, intervals=intervals, cost=cost, strict=strict)
    about = _about(chosen)
    about["notes"] = [*told, *about["notes"]]
    return noted(_frame(chosen, published=published), about | {"tables": others})


def compare(
    a: str,
    b: str,
    folder: File = None,
    *,
    metric: str = "srcc",
    strict: bool = False,
    config: File = None,
    plugins: Sequence[str | Path] = (),
) -> pd.DataFrame:
    """Two methods side by side, each "name" or "name,option=value": a row an experiment, a minus b, paired by split.

    `low`, `high` and `p` are over splits, `contents_low` and `contents_high` over contents; `better` names the one that
    is, after Holm, and nothing where chance may explain the difference. Sentences and cautions stand in `attrs`.
    """
    from bench.api.noted import noted
    from bench.core.errors import MixedError
    from bench.report.compare import PROMISES
    from bench.report.compare import compare as pairs

    if metric not in ("srcc", "plcc", "krcc", "rmse"):
        raise UsageError(f"metric={metric!r} is none of srcc, plcc, krcc and rmse.")
    comparisons = pairs(_records(folder, config, plugins), a, b, metric=metric)
    mixed = [line for one in comparisons for line in one.mixed]
    if strict and mixed:
        raise MixedError(f"{mixed[0]}. Without strict the comparison says so itself.")
    import pandas as pd

    rows = [_compared(one, row) for one in comparisons for row in one.rows]
    notes = [line for one in comparisons for line in (*one.sentences, one.summary, *one.cautions) if line]
    about = {
        "title": f"{comparisons[0].a} minus {comparisons[0].b}, {metric.upper()}",
        "notes": [*notes, *_mixed(mixed)],
    }
    frame = pd.DataFrame(rows, columns=list(COMPARED)).astype(dict.fromkeys(OVER, float))
    return noted(frame, about | {"footer": list(PROMISES), "mixed": mixed})


def tidy(records: Iterable[Record]) -> pd.DataFrame:
    """Every number of the finished ones among some records, one a row."""
    import pandas as pd

    from bench.report.arms import arms_of

    done = [record for record in records if record.done]
    arms = arms_of(done)
    rows = [row for record in done for row in _rows(record, arms[record])]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(
        ["preset", "train", "method", "options", "changes", "test", "part", "metric", "split", "key"],
        ignore_index=True,
        kind="stable",
    )


def _rows(record: Record, arm: Arm) -> Iterator[dict[str, Any]]:
    """A row for each metric of each target."""
    spec = record.spec
    plain = (
        "method",
        "preset",
        "backbone",
        "weights",
        "train",
        "fraction",
        "source",
        "split",
        "split_rule",
        "precision",
    )
    about: dict[str, Any] = {name: getattr(spec, name) for name in (*plain, "limit")}
    about |= {
        "key": record.key,
        "kind": "external" if spec.external else "run",
        "title": arm.title,
        "options": " ".join(arm.option_changes()),
        "changes": " ".join(arm.run_changes()),
        "selection": spec.recipe.selection,
        "seed": spec.recipe.seed,
        "trainable": record.section("parameters").get("trainable"),
        "code": record.other_code or "",
    }
    for target in spec.tests:
        for metric in METRICS:
            if (value := record.value(target, metric)) is not None:
                yield about | {"test": target.dataset, "part": target.part, "metric": metric, "value": value}


def _records(folder: File, config: File, plugins: Sequence[str | Path]) -> Results:
    """The sound records of a results folder; what is not used of it is warned of."""
    import warnings

    from bench.records.results import Results
    from bench.records.store import Store

    settings = settings_for(config, plugins, results=None if folder is None else str(folder))
    root = Path(settings["results"])
    if not root.is_dir():
        raise UsageError(f"There is no results folder {root}. bench.run() makes it; folder= names another.")
    store = Store(root)
    results = Results.read(store)
    for problem in store.problems[:1]:
        more = f" (and {len(store.problems) - 1} more files)" if len(store.problems) > 1 else ""
        warnings.warn(f"Not used: {problem.path.name} {problem.why}{more}", stacklevel=3)
    return results


def _named(there: Results, name: str, **wishes: Any) -> tuple[Table, list[str]]:
    """The table of a name, and the names of the others of its protocol."""
    from bench.core.registry import PROTOCOLS
    from bench.report.tables.write import make_tables

    if name in PROTOCOLS:
        first, *others = (one.table for one in make_tables(there, [name], **wishes))
        return first, [other.name for other in others]
    every = [one.table for one in make_tables(there, [], complain=lambda _: None, **wishes)]
    for one in every:
        if one.name == name:
            return one, []
    known = [*(one.name for one in every), *PROTOCOLS.names()]
    raise UsageError(f"There is no table {name!r} of what is here. {suggest(name, known)}")


def _frame(chosen: Table, *, published: bool) -> pd.DataFrame:
    """A table's cells under its header: medians as numbers, everything else as text."""
    import pandas as pd

    from bench.report.table import MEASURED

    rows = [row for row in chosen.rows if published or row.block == MEASURED]
    leads = [(*row.lead, row.block or "measured") if published else row.lead for row in rows]
    names = [*(lead or "lead" for lead in chosen.leads), *(["source"] if published else [])]
    index = (
        pd.MultiIndex.from_tuples(leads, names=names)
        if len(names) > 1
        else pd.Index([x for (x,) in leads], name=names[0])
    )
    cells = [[_cell(cell) for cell in row.cells] for row in rows]
    tiers = [tier or None for tier in chosen.tiers]
    return pd.DataFrame(cells, index=index, columns=pd.MultiIndex.from_tuples(chosen.header, names=tiers))


def _cell(cell: Number | str) -> float | str:
    if isinstance(cell, str):
        return cell
    return float("nan") if cell.value is None else cell.value


def _about(chosen: Table) -> dict[str, Any]:
    """A table's title and what stands under it."""
    of_rows: dict[str, list[str]] = {}
    for row in chosen.rows:
        for said in row.notes:
            of_rows.setdefault(said, []).append(row.label)
    notes = [f"{', '.join(labels)}: {said}" for said, labels in of_rows.items()]
    return {
        "name": chosen.name,
        "title": chosen.title,
        "notes": [*_mixed(chosen.mixed), *chosen.notes, *notes],
        "footer": list(chosen.footer),
        "mixed": list(chosen.mixed),
    }


def _mixed(lines: Iterable[str]) -> list[str]:
    return [f"Mixed: {line}." for line in lines]


def _compared(comparison: Comparison, row: PairedDifference) -> dict[str, Any]:
    """A row of a comparison."""
    over = row.contents
    experiment = row.experiment
    return {
        "preset": comparison.preset,
        "a": comparison.a,
        "b": comparison.b,
        "train": experiment.train,
        "test": experiment.tested,
        "part": experiment.part,
        "fraction": experiment.fraction,
        "source": experiment.source,
        "metric": row.metric,
        "difference": row.effect,
        "splits": row.n,
        "low": row.low,
        "high": row.high,
        "p": row.p,
        "p_holm": row.p_holm,
        "better": {1: comparison.a, -1: comparison.b, 0: ""}[row.verdict],
        "contents": None if over is None else over.contents,
        "contents_low": None if over is None else over.low,
        "contents_high": None if over is None else over.high,
    }
