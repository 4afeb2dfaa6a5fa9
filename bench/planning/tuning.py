"""`bench tune`: a learning rate, and one option at most, chosen in each split on contents of its own training part.

Nothing is trained or chosen on a split's test part for that split. A preset may keep a set for tuning alone: there each
random split's test part decides, for nothing else is ever tested on it. What was tried is ordinary runs, recorded below
`results/tuning/`, so a killed search goes on; how it went is a file that `bench run --recipe tuned` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.core.code import made_by_other_code
from bench.core.errors import Diverged, UsageError
from bench.core.registry import METHODS, stem_of
from bench.core.spec import RunSpec, Scalar, Target, recipe_options
from bench.planning.choices import Trial
from bench.planning.members import stands_on_runs
from bench.planning.plan import RECIPE, native_size, sort_settings
from bench.planning.presets import Preset
from bench.planning.protocol import MethodChoice, Request
from bench.planning.usual import fact_of
from bench.records.store import Store

RATES = (1e-4, 3e-4, 1e-3, 3e-3)


def usual_rates(preset: Preset, method: str) -> Sequence[float]:
    """The rates that a search tries where nobody names any: the preset's for the method, else the usual four.

    None for a method that has no rate.
    """
    return preset.rates.get(stem_of(method), RATES) if has_rate(method) else ()


def has_rate(method: str) -> bool:
    """Whether a method learns by gradient descent."""
    return "descent" in str(fact_of(method, "learns"))


def why_nothing_to_choose(method: str, rates: str, option: str) -> str:
    """Why there are no candidates of a method with the rates and the option that somebody named; else ""."""
    if option and stands_on_runs(method):
        return f"{method} stands on the runs of other methods, and a search makes none of those"
    if not has_rate(method) and (rates or not option):
        how = "learns by a fit" if fact_of(method, "learns") == "fit" else "learns nothing"
        instead = "leave out --lr" if option else "--option names another setting"
        return f"{method} {how}: there is no rate to choose; {instead}"
    if option and option not in METHODS.card(method).options and option not in recipe_options():
        return f"{method} and the recipe have no option {option!r}"
    return ""


def refuse_what_is_said_twice(method: str, option: str, settings: Sequence[str]) -> None:
    """What a search varies is not fixed beside it."""
    if option == "lr":
        raise UsageError("--option lr: rates to try are named with --lr.")
    varied = {"lr": "--lr"} if has_rate(method) else {}
    varied |= {option: "--option"} if option else {}
    for setting in settings:
        of, _, name = setting.partition("=")[0].strip().rpartition(".")
        if name in varied and of in ("", RECIPE, method):
            raise UsageError(f"--set {setting}: bench tune tries this setting itself; {varied[name]} names the values.")


@dataclass(frozen=True)
class Search:
    """What is tuned, on what, and what all candidates have in common."""

    method: str
    dataset: str
    preset: Preset
    splits: int
    rates: Sequence[float] = RATES
    option: str = ""
    values: Sequence[str] = ()
    common: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Scalar] = field(default_factory=dict)
    options: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """Settings to try in a split, and the run that tries them."""

    split: int
    settings: Mapping[str, Scalar]
    spec: RunSpec


def candidates(search: Search) -> list[Candidate]:
    """Every setting in every split, a split after the other."""
    return [_candidate(search, settings, split) for split in range(search.splits) for settings in _settings(search)]


def _settings(search: Search) -> list[dict[str, Scalar]]:
    """Every rate, where there are some, with every value of the further option."""
    method, option = search.method, search.option
    extras: list[dict[str, Scalar]] = [{}]
    if option:
        parsed = [sort_settings([f"{option}={value}"], [method], []) for value in search.values]
        extras = [{**one.recipe, **one.methods.get(method, {})} for one in parsed]
    rates: list[dict[str, Scalar]] = [{"lr": rate} for rate in search.rates] or [{}]
    each = [{**rate, **extra} for rate in rates for extra in extras]
    return [settings for place, settings in enumerate(each) if settings not in each[:place]]


def _candidate(search: Search, settings: Mapping[str, Scalar], split: int) -> Candidate:
    """A run on the split's training part without its validation contents, scored on those.

    On the set that a preset keeps for tuning: on the whole training part of a random split, scored on its test part.
    """
    recipe = {name: value for name, value in settings.items() if name in recipe_options()}
    own = METHODS.card(search.method).options
    options = {name: value for name, value in settings.items() if name in own}
    standard = search.dataset == search.preset.tuning
    request = Request(
        preset=search.preset, recipe={**search.recipe, **recipe}, common=search.common, native=native_size
    )
    choice = MethodChoice(search.method, {**search.options, **options})
    target = Target.of(search.dataset, "test" if standard else "validation")
    spec = request.spec(choice, search.dataset, (target,), split)
    if spec.recipe.selection == "oracle" and not standard:
        raise UsageError(
            "selection=oracle lets the test part of a split choose the epoch of every candidate: tune with "
            "selection=last or val (--set, --option, [recipe] of bench.toml)."
        )
    return Candidate(split, settings, spec)


def trials(
    tried: Sequence[Candidate], store: Store, failed: Mapping[str, str] | None = None, *, other_code: bool = False
) -> dict[int, list[Trial]]:
    """By split, how every candidate did by its record; `failed` says why by key, for those that left none.

    `other_code`: whether records that other code than today's has made count too.
    """
    records = {record["key"]: record for record in store.records() if other_code or not made_by_other_code(record)}
    by_split: dict[int, list[Trial]] = {}
    for candidate in tried:
        record = records.get(candidate.spec.key)
        by_split.setdefault(candidate.split, []).append(_trial(candidate, record, failed or {}))
    return by_split


def diverged(store: Store) -> set[str]:
    """The keys of what today's code has tried at rates that are too high."""
    return {str(record["key"]) for record in store.records() if _diverged(record) and not made_by_other_code(record)}


def _diverged(record: Mapping[str, Any]) -> bool:
    return record["status"] == "failed" and bool(record["error"]["kind"] == Diverged.__name__)


def _trial(candidate: Candidate, record: Mapping[str, Any] | None, failed: Mapping[str, str]) -> Trial:
    if record is None:
        return Trial(candidate.settings, None, failed.get(candidate.spec.key, "not run"))
    if record["status"] == "failed":
        return Trial(candidate.settings, None, record["error"]["message"], diverged=_diverged(record))
    ((target, metrics),) = record["metrics"].items()
    if metrics["srcc"] is None:
        return Trial(candidate.settings, None, "its SRCC is undefined: all its scores, or all labels, are alike")
    count = record.get("data", {}).get("tests", {}).get(target, {}).get("n", 0)
    return Trial(candidate.settings, float(metrics["srcc"]), n=count)
