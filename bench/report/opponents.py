"""Which runs stand for the methods that somebody wants compared: arms that were trained alike, the plainest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from bench.core.errors import UsageError
from bench.core.progress import counted
from bench.core.registry import METHODS
from bench.planning.usual import fact_of
from bench.records.results import Results
from bench.report.arms import Arm, shared_changes
from bench.report.cells import Cell
from bench.report.selection import PresetResults, by_split_rule

OF_DESCENT = ("lr", "tuned")
"""Changes that mean nothing to a method which does not learn by gradient descent."""


@dataclass(frozen=True)
class Opponents:
    """The arms that stand for each wish, one of them for every seed, and what all were trained with."""

    arms: Mapping[str, Sequence[Arm]]
    shared: tuple[str, ...]

    @property
    def names(self) -> dict[str, str]:
        """What each is called: its method with all that not all share."""
        return {wish: any_seed(arms[0]).label(self.shared) for wish, arms in self.arms.items()}


def fitting(part: PresetResults, wish: str) -> list[Arm]:
    """The arms of "name" or "name,option=value,…" that have the wanted settings, the plainest first."""
    name, settings = parsed(wish)
    found = [arm for arm in part.arms if arm.method == name and settings <= {*arm.option_changes(), *arm.run_changes()}]
    return sorted(found, key=Arm.order)


def parsed(wish: str) -> tuple[str, set[str]]:
    """Method and settings of a wish, the values as tables write them."""
    name, *settings = [piece.strip() for piece in wish.split(",")]
    written = {"true": "yes", "false": "no"}
    pairs = [setting.partition("=") for setting in settings]
    return name, {f"{key}={written.get(value.lower(), value)}" for key, _, value in pairs}


def paired(part: PresetResults, first: Sequence[Arm], second: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """The plainest two that differ in nothing but method and options, once per seed; failing that, the plainest two."""
    shared = [(one, other) for one in first for other in second if one != other and _meet(part, one, other)]
    alike = [(one, other) for one, other in shared if one.run_changes() == other.run_changes()]
    if not alike:
        return shared[:1]
    plainest = [any_seed(arm) for arm in alike[0]]
    return [pair for pair in alike if [any_seed(arm) for arm in pair] == plainest]


def alike(part: PresetResults, wishes: Sequence[str]) -> Opponents | None:
    """One arm for each of several methods, the same in every comparison with the others; None where one has no run.

    They are trained alike where there are such; else as many of them as can be, and the others at their plainest.
    """
    known = [fitting(part, wish) for wish in wishes]
    if not all(known):
        return None
    ways = {any_seed(arm).run_changes() for arms in known for arm in arms}
    best = max(sorted(ways, key=lambda way: (len(way), way)), key=lambda way: _meetings(part, known, way))
    chosen = {wish: _under(arms, best) for wish, arms in zip(wishes, known, strict=True)}
    plain = [any_seed(arms[0]) for arms in chosen.values()]
    return Opponents(chosen, best if all(_trained(arm, best) for arm in plain) else shared_changes(plain))


def _under(arms: Sequence[Arm], way: Sequence[str]) -> list[Arm]:
    """The plainest of some arms that was trained in a way, or the plainest at all, under all its seeds."""
    chosen = any_seed(next((arm for arm in arms if _trained(arm, way)), arms[0]))
    return [arm for arm in arms if any_seed(arm) == chosen]


def _trained(arm: Arm, way: Sequence[str]) -> bool:
    """Whether an arm was trained with these changes and no other, as far as they mean something to its method."""
    own = any_seed(arm)
    descends = "descent" in fact_of(arm.method, "learns")
    meant = [change for change in way if descends or change.partition("=")[0] not in OF_DESCENT]
    return set(own.run_changes()) <= set(way) and all(own.has(change) for change in meant)


def _meetings(part: PresetResults, known: Sequence[Sequence[Arm]], way: Sequence[str]) -> int:
    """How many pairs would be of arms that were both trained in a way and have runs in common."""
    chosen = [_under(arms, way) for arms in known]
    return sum(
        _trained(one[0], way) and _trained(other[0], way) and any(_meet(part, a, b) for a in one for b in other)
        for one, other in combinations(chosen, 2)
    )


def any_seed(arm: Arm) -> Arm:
    """The arm whatever its seed."""
    return replace(arm, recipe=tuple((name, value) for name, value in arm.recipe if name != "seed"))


def _meet(part: PresetResults, one: Arm, other: Arm) -> bool:
    """Whether both have a finished run of one experiment and split."""
    return any(
        {r.spec.repetition for r in part.runs(one, e) if r.done}
        & {r.spec.repetition for r in part.runs(other, e) if r.done}
        for e in part.experiments()
    )


def why_none(results: Results, a: str, b: str) -> str:
    """Why two wishes cannot be compared, and what to do."""
    if parsed(a) == parsed(b):
        return f"Both are {a}: name two different methods, or one with two settings (METHOD,OPTION=VALUE)."
    parts = list(by_split_rule(results))
    arms = [arm for part in parts for arm in part.arms]
    for wish in (a, b):
        name, settings = parsed(wish)
        of_method = [{*arm.option_changes(), *arm.run_changes()} for arm in arms if arm.method == name]
        if not of_method:
            METHODS.target(name)  # an unknown name is an error of its own
        elif not any(settings <= changes for changes in of_method):
            there = sorted({", ".join(sorted(changes)) or "none changed" for changes in of_method})
            return f"No record of {name} has {', '.join(sorted(settings))}. Settings with records: {'; '.join(there)}."
    make = f"This command makes them: bench run -m {parsed(a)[0]},{parsed(b)[0]}"
    if shared := [(part, pair) for part in parts for pair in paired(part, fitting(part, a), fitting(part, b))]:
        return f"{a} and {b} have finished runs in common, but {_what_lacks(shared)}."
    known = sorted({arm.method for arm in arms})
    failed = sum(not record.done for record in results.records)
    names = (", ".join(known) or "none") + (f" ({counted(failed, 'run')} failed: see bench status)" if failed else "")
    return (
        f"There are no two finished runs of {a} and {b} on the same data and split. Methods with records: {names}. "
        f"{make}"
    )


def _what_lacks(shared: Sequence[tuple[PresetResults, tuple[Arm, Arm]]]) -> str:
    """Why runs that two arms have in common make no comparison."""
    cells = (Cell.of(part.runs(arm, e), e, "srcc") for part, pair in shared for e in part.experiments() for arm in pair)
    if any(cell.left_out for cell in cells):
        return "no seed of which both have all folds: bench status says which are to be run"
    return "one of them has no such number: a constant correlates with nothing"


def none_of_all(results: Results, wishes: Sequence[str]) -> UsageError:
    """What to say where several methods have no experiment in common."""
    for one, other in combinations(wishes, 2):
        if not any(paired(part, fitting(part, one), fitting(part, other)) for part in by_split_rule(results)):
            return UsageError(why_none(results, one, other))
    return UsageError("No set has finished runs of all these methods on the same splits: compare two at a time.")
