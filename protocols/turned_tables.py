"""The tables of `sensitivity`: what each switch moves, by method and set, and whether the order of methods survives."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.core.spec import RunSpec, Target
from bench.planning.usual import fact_of
from bench.records.results import Experiment, Record
from bench.report.arms import Arm, shared_changes
from bench.report.cells import Cell, paired_scores
from bench.report.mixing import Named, mixtures
from bench.report.selection import Rules
from bench.report.table import Number, Row, Table
from bench.report.tables.fill import PresetResults, dataset_title
from bench.report.tables.notes import conditions, made_note
from protocols.switches import SWITCHES, Switch, switches_at
from protocols.variants import belongs_to_an_ablation, settings_of

Value = tuple[Switch, str]
"""A switch, and what is said of the value it was turned to."""
RAW = "raw"
NEWS = (
    "Δ: what the change does to SRCC (to PLCC, in its row), the mean over the splits that both have, with its 95% "
    "interval over splits (Nadeau–Bengio; each by itself). A method that a change does not concern has no row there."
)
ORDER = (
    "Order: Kendall's tau between the methods' order by medians as they are and under the change, 1 where no two "
    "change places; methods that it does not concern keep their number. Splits tell of some pairs of methods that "
    "they keep their order or swap it (corrected t on either side); the interval is tau were the open pairs all "
    "swapped, or all kept."
)
OTHER_PICTURES = "Split: other pictures are tested than without the change, so splits are paired by their number alone."
OPTIMISTIC = "Epoch by the test part is optimistic, and so is a split by image where pictures share contents."


@dataclass(frozen=True)
class Side:
    """An arm on a set: where its runs are."""

    part: PresetResults
    arm: Arm

    def cell(self, dataset: str, metric: str = "srcc") -> Cell:
        """Its runs that were tested on the set's own test part."""
        experiment = Experiment(dataset, Target.of(dataset))
        return Cell.of(self.part.runs(self.arm, experiment), experiment, metric)


@dataclass(frozen=True)
class Studied:
    """A method on a set as it is, and under every change that was made of it alone."""

    dataset: str
    setting: RunSpec
    base: Side
    others: Mapping[Value, Side]

    def pair(self, value: Value) -> tuple[Cell, Cell] | None:
        """Its runs as they are and under a change; nothing where it was not made, or is not its concern."""
        switch, _ = value
        if switch.name == "plcc":
            return self.base.cell(self.dataset, "plcc"), self.base.cell(self.dataset, "plcc_raw")
        other = self.others.get(value)
        return (self.base.cell(self.dataset), other.cell(self.dataset)) if other else None

    def concerns(self, switch: Switch) -> bool:
        """Whether a switch would turn anything about it."""
        return bool(switch.of(self.setting))


def tables_of_preset(parts: Sequence[PresetResults]) -> list[Table]:
    """The tables of one preset: for all bases that were made by the same rules and settings, two.

    Methods that nothing was turned about stand in the orders of the others.
    """
    alike: dict[tuple[str, ...], list[Studied]] = {}
    for one in _studied(parts):
        if one.others or not belongs_to_an_ablation(one.base.arm, one.base.part):
            alike.setdefault((*one.base.part.rules.unusual, *one.base.arm.changes_beside_backbone()), []).append(one)
    made: list[Table] = []
    for words, found in alike.items():
        turned = {one.dataset for one in found if one.others}
        if turned:
            made += _Tables(words, [one for one in found if one.dataset in turned]).both()
    return made


def _studied(parts: Sequence[PresetResults]) -> Iterator[Studied]:
    """Every method on every set, the plainest first: those are what others differ from."""
    sides: dict[str, dict[RunSpec, Side]] = {}
    for part in parts:
        for name, arms in settings_of(part).items():
            sides.setdefault(name, {}).update({setting: Side(part, arm) for setting, arm in arms.items()})
    for name, known in sides.items():
        for setting, others in switches_at(sorted(known, key=lambda setting: _place(known[setting]))).items():
            yield Studied(name, setting, known[setting], {value: known[other] for value, other in others.items()})


def _place(side: Side) -> tuple[object, ...]:
    rules: Rules = side.part.rules
    return rules.order(), len(side.arm.run_changes()), side.arm.order()


class _Tables:
    """Both tables of methods that were made by the same rules and settings."""

    def __init__(self, words: Sequence[str], found: Sequence[Studied]) -> None:
        self.found = found
        self.preset = found[0].base.part.preset
        self.arms = sorted({one.base.arm for one in found}, key=Arm.order)
        self.shared = shared_changes(self.arms)
        there = {one.dataset for one in found}
        self.datasets = [name for name in dict.fromkeys((*self.preset.sensitivity, *sorted(there))) if name in there]
        self.by_arm = {(one.base.arm, one.dataset): one for one in found}
        self.stem = "_".join(["sensitivity", *("".join(filter(str.isalnum, word)) for word in words)])
        self.words = words

    def both(self) -> list[Table]:
        """What moves and whether the order survives, then every difference."""
        order = ("mean |Δ|", "largest Δ", "of", "order: tau", "kept/swapped/open", "first")
        title = "What a change moves, and whether the order of methods survives it."
        summary = self._table("_order", title, order, ("Switch", "Changed to"), tuple(self._summaries()))
        every, title = ("as it is", "changed", "Δ"), "Every difference that a change makes."
        return [summary, self._table("", title, every, ("Changed to", "Method"), tuple(self._details()))]

    def _table(
        self, suffix: str, title: str, names: Sequence[str], leads: tuple[str, ...], rows: Sequence[Row]
    ) -> Table:
        records = [record for one in self.found for record in one.base.cell(one.dataset).records]
        of = max(one.base.cell(one.dataset).splits for one in self.found)
        mixed = mixtures(self._columns())
        settings = f"With {', '.join(self.words)}." if self.words else ""
        return Table(
            name=self.stem + suffix + self.preset.suffix,
            title=" ".join(filter(None, [self.preset.heading, title, settings])),
            leads=leads,
            header=tuple((dataset_title(dataset), name) for dataset in self.datasets for name in names),
            rows=tuple(rows),
            notes=tuple(filter(None, (self._splits(of), NEWS, ORDER, *self._warnings(), self._made()))),
            footer=(*conditions(records, self.preset, self.shared, of), *(f"Mixed: {line}." for line in mixed)),
            demo=self.preset.made,
            mixed=mixed,
        )

    def _splits(self, of: int) -> str:
        few = "" if of > 2 else " Fewer than 3 splits give no interval."
        return f"Medians over {of} splits.{few}" if of > 1 else f"One split.{few}"

    def _warnings(self) -> list[str]:
        turned = {switch.name for switch, _ in self.values()}
        return [OTHER_PICTURES] * ("split" in turned) + [OPTIMISTIC] * bool(turned & {"split", "epoch"})

    def _made(self) -> str:
        return made_note(self.preset, self.datasets) if self.preset.made else ""

    def _columns(self) -> Iterator[list[Named]]:
        """The runs of each difference but those whose precision was turned."""
        for one in self.found:
            sides = [one.base, *(side for (switch, _), side in one.others.items() if switch.name != "precision")]
            yield [(side.arm.label(self.shared), run) for side in sides for run in side.cell(one.dataset).records]

    def values(self) -> list[Value]:
        """Everything that was turned, in the order of the switches; PLCC is in every record."""
        found = dict.fromkeys(value for one in self.found for value in one.others)
        plcc = next(switch for switch in SWITCHES if switch.name == "plcc")
        found[plcc, "raw PLCC"] = None
        return sorted(found, key=lambda value: SWITCHES.index(value[0]))

    def _details(self) -> Iterator[Row]:
        for value in self.values():
            for arm in self.arms:
                pairs = {name: self._pair(arm, name, value) for name in self.datasets}
                if any(pairs.values()):
                    cells = [cell for name in self.datasets for cell in self._cells(arm, name, value, pairs[name])]
                    notes = self._notes(pair for pair in pairs.values() if pair)
                    yield Row((value[1], arm.label(self.shared)), tuple(cells), notes=notes)
            yield self._last_row(value)

    def _last_row(self, value: Value) -> Row:
        cells: list[Number | str] = []
        whys: dict[str, None] = {}
        for name in self.datasets:
            tau, _, why = self.order(name, value)
            cells += ["", "", tau]
            whys |= {why: None} if why else {}
        return Row((value[1], "order: tau"), tuple(cells), notes=tuple(whys))

    def _summaries(self) -> Iterator[Row]:
        for value in self.values():
            cells: list[Number | str] = []
            whys: dict[str, None] = {}
            for name in self.datasets:
                summary, why = self._summary(name, value)
                cells += summary
                whys |= {why: None} if why else {}
            yield Row((value[0].title, value[1]), tuple(cells), notes=tuple(whys))

    def _summary(self, dataset: str, value: Value) -> tuple[list[Number | str], str]:
        known = [(arm, _difference(*pair)) for arm in self.arms if (pair := self._pair(arm, dataset, value))]
        known = [(arm, number) for arm, number in known if number.value is not None]
        if not known:
            return ["–"] * 6, ""
        facts = {"metric": f"{_metric(value)} difference", "train": dataset, "changes": value[1]}
        mean = statistics.fmean(abs(number.value or 0.0) for _, number in known)
        arm, largest = max(known, key=lambda item: abs(item[1].value or 0.0))
        tau, pairs, why = self.order(dataset, value)
        average = Number(mean, facts=facts | {"metric": f"mean absolute {facts['metric']}"})
        return [average, largest, arm.label(self.shared), tau, pairs, self._first(dataset, value)], why

    def _cells(self, arm: Arm, dataset: str, value: Value, pair: tuple[Cell, Cell] | None) -> tuple[Number | str, ...]:
        if pair is None:
            return ("–",) * 3
        facts: dict[str, object] = {
            "method": arm.method,
            "options": " ".join(arm.option_changes()),
            "preset": self.preset.name,
        }
        facts |= {"backbone": arm.backbone, "train": dataset, "test": str(Target.of(dataset)), "changes": value[1]}
        plain, changed = (_median(cell, facts | {"metric": cell.metric}) for cell in pair)
        return plain, changed, _difference(*pair, facts=facts | {"metric": f"{_metric(value)} difference"})

    def _pair(self, arm: Arm, dataset: str, value: Value) -> tuple[Cell, Cell] | None:
        one = self.by_arm.get((arm, dataset))
        return one.pair(value) if one else None

    def _notes(self, pairs: Iterable[tuple[Cell, Cell]]) -> tuple[str, ...]:
        """Why runs of a row failed."""
        records: list[Record] = [record for pair in pairs for cell in pair for record in cell.records]
        return tuple(sorted({f"Failed: {record.error}" for record in records if not record.done and record.error}))[:2]

    def order(self, dataset: str, value: Value) -> tuple[Number | str, str, str]:
        """(tau of a set's methods, how many pairs of them keep their order, swap it, or may do either, why there is
        no tau or no interval)."""
        from bench.metrics.orders import order_kept

        sides = self._ranked(dataset, value)
        scores = paired_scores([cell for _, *pair in sides for cell in pair]) if sides else []
        if not scores or not scores[0]:
            return "–", "", "Order: no split in which all methods have both numbers."
        before, after = ([list(known.values()) for known in scores[side::2]] for side in (0, 1))
        kept = order_kept(before, after, sides[0][1].overlap())
        why = f"Order: {kept.why}." if kept.why else ""
        if kept.tau is None:
            return "–", "", why
        kind = "" if kept.low is None else "by pairs that splits tell apart (Nadeau-Bengio)"
        pairs = "" if kept.low is None else f"{kept.kept}/{kept.swapped}/{kept.open}"
        facts = {"metric": f"order tau by {_metric(value)}", "train": dataset, "changes": value[1]}
        return Number(kept.tau, low=kept.low, high=kept.high, interval=kind, shown="interval", facts=facts), pairs, why

    def _ranked(self, dataset: str, value: Value) -> list[tuple[str, Cell, Cell]]:
        """(method, its runs as they are and under the change), of those that have numbers and may be ranked.

        One that the change does not concern is the same on both sides; one that it does, and that was not made, is out.
        """
        found = []
        for arm in self.arms:
            one = self.by_arm.get((arm, dataset))
            if one is None or not fact_of(arm.method, "ranked"):
                continue
            pair = one.pair(value)
            if pair is None and not one.concerns(value[0]):
                pair = (one.base.cell(dataset),) * 2
            if pair is not None and pair[0].values and pair[1].values:
                found.append((arm.label(self.shared), *pair))
        return found

    def _first(self, dataset: str, value: Value) -> str:
        """Who is first as methods are and, where that is another, under the change."""
        sides = self._ranked(dataset, value)
        if len(sides) < 2:
            return ""
        before = max(sides, key=lambda side: side[1].median or 0.0)[0]
        after = max(sides, key=lambda side: side[2].median or 0.0)[0]
        return before if before == after else f"{before} → {after}"


def _metric(value: Value) -> str:
    return "plcc" if value[0].name == "plcc" else "srcc"


def _median(cell: Cell, facts: dict[str, object]) -> Number:
    undefined = not cell.values and any(record.done for record in cell.records)
    return Number(cell.median, n=len(cell.values), of=cell.runs, failed=cell.failed, undefined=undefined, facts=facts)


def _difference(before: Cell, after: Cell, facts: dict[str, object] | None = None) -> Number:
    """The mean over the splits that both have, with its interval where there are enough of them."""
    from bench.metrics.comparisons import FEWEST_SPLITS, corrected_paired_test

    first, second = paired_scores([before, after])
    of = max(before.runs, after.runs)
    if not first:
        return Number(None, of=of, facts=facts or {})
    test = corrected_paired_test([second[split] - first[split] for split in first], before.overlap())
    runs = len(set(before.values) & set(after.values))
    about: dict[str, object] = {"n": runs, "of": of, "mean": test.effect, "shown": "difference"}
    if test.n >= FEWEST_SPLITS:
        about |= {"low": test.low, "high": test.high, "interval": "95% of the mean (Nadeau-Bengio)"}
    return Number(test.effect, facts=facts or {}, **about)  # type: ignore[arg-type]
