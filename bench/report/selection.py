"""Which records may stand together: those of one preset, one rule of splitting and one way of choosing the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from bench.core.mixes import is_mix
from bench.core.split_rules import AT_RANDOM, AUTHORS, IMAGES, over_images, short_name, splits_in, title_of
from bench.planning.presets import Preset, in_order, preset_named
from bench.records.results import Experiment, Record, Results, official_in_name_only
from bench.report.arms import Arm, arms_of

if TYPE_CHECKING:
    from bench.report.tables.fill import Column

SELECTIONS = ("last", "val", "oracle")
TITLES = {
    "val": "Epoch chosen on validation contents.",
    "oracle": "Epoch chosen on the TEST part.",
}
NOTES = {
    **dict.fromkeys(
        AUTHORS,
        "Splits made again from the seed in their authors' code; nobody has compared them with the authors' files yet.",
    ),
    "official": "There is one official split: what is counted as splits are trainings on it with other seeds. "
    "Numbers on it and on random splits have tables and figures of their own.",
    IMAGES: "Optimistic: split by picture, so versions of one content stand on both sides.",
    "oracle": "Optimistic: each number is the best of all epochs on the very images that it is reported for. Such "
    "numbers are neither ranked nor compared.",
}


@dataclass(frozen=True)
class Rules:
    """How the numbers of a table came about: how sets were split, and by what the tested epoch was chosen.

    Numbers under other rules never share its columns. The usual rules are the preset's way to split and the last epoch.
    """

    split_rule: str = "random"
    """The preset's own stands for the usual way of each set: a user's sets are split at random under every preset."""
    selection: str = "last"
    usual: str = "random"
    """How the preset splits."""

    @property
    def unusual(self) -> tuple[str, ...]:
        """The words for what is not as usual: "official", "kfold7", "val", "oracle"."""
        split = () if self.split_rule == self.usual else (short_name(self.split_rule),)
        return split if self.selection == "last" else (*split, self.selection)

    def planned(self, preset: Preset) -> int:
        """How many splits a preset's number under these rules is made of at least."""
        return preset.splits if self.split_rule == preset.split_rule else splits_in(self.split_rule) or 1

    @property
    def suffix(self) -> str:
        """What sets the files of its tables and figures apart; "" under the usual rules."""
        return "".join(f"_{word}" for word in self.unusual)

    @property
    def title(self) -> str:
        """What a title says of it; "" under the usual rules."""
        return " ".join(TITLES.get(word) or title_of(self.split_rule) for word in self.unusual)

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be kept in mind of numbers under these rules."""
        words = (IMAGES, self.selection) if over_images(self.split_rule) else self.unusual
        return tuple(NOTES[word] for word in words if word in NOTES)

    @property
    def ranked(self) -> bool:
        """Whether its numbers may be ranked; those of the oracle say nothing of unseen images."""
        return self.selection != "oracle"

    @property
    def published(self) -> bool:
        """Whether the papers' numbers may stand beside it: they are of random splits."""
        return self.split_rule in AT_RANDOM

    def order(self) -> tuple[bool, str, int]:
        """Where it stands among others: the usual rules first."""
        return self.split_rule != self.usual, self.split_rule, SELECTIONS.index(self.selection)


class PresetResults:
    """The records of one preset under one set of rules, filed by arm and experiment."""

    def __init__(
        self,
        preset: str,
        arms: dict[Record, Arm],
        *,
        intervals: bool,
        rules: Rules | None = None,
        raw_plcc: bool = False,
    ) -> None:
        self.preset: Preset = preset_named(preset)
        self.rules = rules or Rules(self.preset.split_rule, usual=self.preset.split_rule)
        self.intervals, self.raw_plcc = intervals, raw_plcc
        self.arms = sorted(set(arms.values()), key=Arm.order)
        self._arm_of = {record.key: arm for record, arm in arms.items()}
        self._trained_on: dict[Arm, set[str]] = {}
        self._filed: dict[tuple[Arm, str, float, str], list[Record]] = {}
        self._of_arm: dict[Arm, list[Record]] = {}
        for record, arm in arms.items():
            spec = record.spec
            self._trained_on.setdefault(arm, set()).add(spec.train)
            self._of_arm.setdefault(arm, []).append(record)
            self._filed.setdefault((arm, spec.train, spec.fraction, spec.source), []).append(record)

    def with_records(self, records: Iterable[Record]) -> PresetResults:
        """The same arms with changed records of theirs (metrics added from predictions)."""
        arms = {record: self._arm_of[record.key] for record in records}
        return PresetResults(self.preset.name, arms, intervals=self.intervals, rules=self.rules, raw_plcc=self.raw_plcc)

    def runs(self, arm: Arm, experiment: Experiment) -> list[Record]:
        """Every record of an arm that was tested on the experiment's target, done or failed; by today's code first."""
        key = (arm, experiment.train, experiment.fraction, experiment.source)
        records = [record for record in self._filed.get(key, []) if experiment.target in record.spec.tests]
        return sorted(records, key=lambda record: record.other_code != "")

    def records_of(self, arm: Arm) -> list[Record]:
        """Every record of an arm, whatever it was trained and tested on."""
        return self._of_arm.get(arm, [])

    def arms_in(self, columns: Iterable[Column]) -> list[Arm]:
        """The arms with at least one record in the columns, in the papers' order."""
        experiments = {column.experiment for column in columns}
        return [arm for arm in self.arms if any(self.runs(arm, experiment) for experiment in experiments)]

    def trained_on(self, arm: Arm) -> set[str]:
        """The datasets an arm was trained on."""
        return self._trained_on.get(arm, set())

    def experiments(self) -> set[Experiment]:
        """Every experiment that some record belongs to."""
        return {
            Experiment(train, target, fraction, source)
            for (_, train, fraction, source), records in self._filed.items()
            for target in {target for record in records for target in record.spec.tests}
        }

    def across(self, source: str = "split") -> list[Experiment]:
        """Every experiment that tests on all of a set, trained on the usual share of one source or on all of it."""
        experiments = [e for e in self.experiments() if e.part == "all" and e.source == source and not is_mix(e.train)]
        return sorted((e for e in experiments if e.fraction == 0.8), key=lambda e: (e.train, e.target))

    def competitions(self) -> list[Experiment]:
        """Where models compete (gMAD): the preset's pairs of sets, then pairs that no paper has.

        The other pairs of `cross` are there for its table, and would make a competition each: they are shown where
        there is none of the preset's.
        """
        usual, across = self.preset.gmad, self.across()
        chosen = [e for pair in usual for e in across if (e.train, e.tested) == pair]
        elsewhere = (*usual, *self.preset.cross) if chosen else ()
        return chosen + [e for e in across if (e.train, e.tested) not in elsewhere]

    def own_test_sets(self, first: Sequence[str] = ()) -> list[str]:
        """The datasets that something was trained and tested on, those of `first` in its order before others."""
        sets = {e.train for e in self.experiments() if e.is_own_test}
        return [name for name in first if name in sets] + sorted(sets - set(first))


def by_preset(results: Results) -> Iterator[PresetResults]:
    """The results of each preset and of each set of rules apart: they never share a table."""
    return iter(_parts(results, True))


def by_split_rule(results: Results) -> Iterator[PresetResults]:
    """The results of each preset and split rule apart, however the epoch was chosen: for comparisons that say so."""
    return iter(_parts(results, False))


@lru_cache(maxsize=4)
def _parts(results: Results, selections_apart: bool) -> list[PresetResults]:
    arms = arms_of(record for record in results.records if not official_in_name_only(record.body))
    parted: dict[tuple[str, Rules], dict[Record, Arm]] = {}
    for record, arm in arms.items():
        selection = record.spec.recipe.selection if selections_apart else "last"
        rules = Rules(arm.split_rule, selection, arm.plain.split_rule)
        parted.setdefault((arm.preset, rules), {})[record] = arm
    presets = in_order(results.presets())
    return [
        PresetResults(
            preset, parted[preset, rules], intervals=results.intervals, rules=rules, raw_plcc=results.raw_plcc
        )
        for preset, rules in sorted(parted, key=lambda part: (presets.index(part[0]), part[1].order()))
    ]
