"""What `bench tune` chose, and which runs may use it: none that is tested on contents the choice has seen.

A choice is made inside the training part of one split. It holds for that split of its set, and, pooled over all
splits, for sets that had no part in it.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError
from bench.core.files import write_text
from bench.core.mixes import is_mix, sets_of
from bench.core.progress import counted
from bench.core.spec import RunSpec, Scalar
from bench.planning.presets import preset_named
from bench.planning.unusual import changed_options, options_nobody_touched, recipe_nobody_touched, with_what_follows

NESTED, TRANSFERRED = "nested", "transferred"
"""Chosen inside the run's own split, or on other sets altogether."""


@dataclass(frozen=True)
class Trial:
    """One candidate in one split, and how it did on the validation contents; no SRCC where it failed."""

    settings: Mapping[str, Scalar]
    srcc: float | None
    why: str = ""
    n: int = 0
    """On how many validation pictures."""
    diverged: bool = False
    """Whether its loss was no number any more, which is an answer: this rate is too high."""


Trials = Mapping[int, Sequence[Trial]]
"""By split, every candidate."""
Made = Mapping[str, Any]
"""What candidates were made with: backbone, weights, precision, and what recipe and options changed from the usual."""
NETWORK, CHANGED = ("backbone", "weights", "precision"), ("recipe", "options")
WITH = "with"
"""As the file calls it, beside the splits of a set."""
USUAL = "as usual"


def made_with(spec: RunSpec, varied: Collection[str]) -> Made:
    """What a run is made with, apart from what a search varies, what follows from that, and the seed."""
    untouched = options_nobody_touched(spec)
    changed: dict[str, Mapping[str, Scalar]] = {
        "recipe": spec.recipe.unlike(recipe_nobody_touched(spec)),
        "options": {} if untouched is None else changed_options(spec.options, untouched),
    }
    unseen = {"seed", *with_what_follows(spec, varied)}
    network = {name: getattr(spec, name) for name in NETWORK}
    return network | {
        part: {name: value for name, value in values.items() if name not in unseen} for part, values in changed.items()
    }


def _differences(then: Made, now: Made) -> list[tuple[str, str, str]]:
    """(what, as it was, as it is), where these differ; nothing of what an earlier `bench tune` did not say."""
    pairs = [(what, then[what], now[what]) for what in NETWORK if what in then]
    for old, new in [(then[part], now[part]) for part in CHANGED if part in then]:
        pairs += [(what, old.get(what, USUAL), new.get(what, USUAL)) for what in sorted({*old, *new})]
    return [(what, str(was), str(is_)) for what, was, is_ in pairs if was != is_]


@dataclass(frozen=True)
class Choices:
    """Every trial of a preset by method and dataset, and what follows from them for a run."""

    trials: Mapping[str, Mapping[str, Trials]] = field(default_factory=dict)
    kept: str = ""
    """The set that the preset keeps for tuning: where there is one, what was chosen on others holds for these alone."""
    made: Mapping[str, Mapping[str, Made]] = field(default_factory=dict)
    """With what, by method and dataset; nothing where an earlier `bench tune` did not say."""

    def of(self, method: str, train: str, tested: Collection[str], split: int) -> tuple[Mapping[str, Scalar], str]:
        """(the chosen settings, NESTED or TRANSFERRED); nothing for a method that was never tuned."""
        known = self.trials.get(method, {})
        if not known:
            return {}, ""
        if self.kept and self.kept in sets_of(train):
            raise UsageError(
                f"{self.kept} is kept for tuning: {method}'s settings did best on its test parts. Leave out --recipe "
                f"tuned, or {self.kept}."
            )
        if train in known:
            if split not in known[train]:
                raise UsageError(
                    f"{method} was tuned in {counted(len(known[train]), 'split')} of {train} and not in split {split}, "
                    f"whose test part those have seen: bench tune {method} -d {train} --splits N, as many as are run."
                )
            return best(known[train][split]).settings, NESTED
        mixed = sets_of(train) if is_mix(train) else ()
        if mixed and all(split in known.get(name, {}) for name in mixed):
            return _pooled(method, {name: {split: known[name][split]} for name in mixed}), NESTED
        elsewhere = {name: known[name] for name in self._elsewhere(method, tested)}
        if not elsewhere and mixed:
            lacking = next(name for name in mixed if split not in known.get(name, {}))
            raise UsageError(
                f"{method} was not tuned in split {split} of {lacking}: a mix takes what did best on all of its sets. "
                f"bench tune {method} -d {lacking}"
            )
        if not elsewhere:
            raise UsageError(
                f"{method} was tuned on {', '.join(sorted(known))} alone, on which a model trained on {train} is "
                f"tested: bench tune {method} -d {self.kept or train}"
            )
        return _pooled(method, elsewhere), TRANSFERRED

    def settings_of(self, method: str) -> set[str]:
        """What was tuned of a method: the settings that its candidates name."""
        return {key for trials in self.trials.get(method, {}).values() for key in _varied(trials)}

    def _elsewhere(self, method: str, tested: Collection[str]) -> list[str]:
        """The sets on which a method was tuned for whatever is tested on others."""
        return [name for name in self.trials.get(method, {}) if name not in tested and self.kept in ("", name)]

    def otherwise(self, spec: RunSpec) -> list[tuple[str, str, str]]:
        """(what, as it was when a run's settings were chosen, as the run has it), where these differ."""
        origin, _ = chosen_keys(spec.recipe_from)
        tested = {target.dataset for target in spec.tests}
        sets = spec.trained_on if origin == NESTED else self._elsewhere(spec.method, tested) if origin else ()
        trials, made = self.trials.get(spec.method, {}), self.made.get(spec.method, {})
        each = [_differences(made[name], made_with(spec, _varied(trials[name]))) for name in sets if made.get(name)]
        return list(dict.fromkeys(one for differences in each for one in differences))


def _varied(trials: Trials) -> set[str]:
    """The settings that the candidates of a method on a set name."""
    return {key for each in trials.values() for trial in each for key in trial.settings}


def best(trials: Sequence[Trial]) -> Trial:
    """The candidate with the best validation SRCC; the earlier one of two equals."""
    sound = [trial for trial in trials if trial.srcc is not None]
    if not sound:
        raise UsageError("No candidate could be trained there: see bench tune.")
    return max(sound, key=lambda trial: trial.srcc or 0.0)


def _pooled(method: str, known: Mapping[str, Trials]) -> Mapping[str, Scalar]:
    """The candidate with the best mean over sets of its mean over splits, among those that were tried everywhere."""
    everywhere = [each for trials in known.values() for each in trials.values()]
    sound = [[dict(trial.settings) for trial in each if trial.srcc is not None] for each in everywhere]
    common = [settings for settings in sound[0] if all(settings in other for other in sound)]
    if not common:
        raise UsageError(
            f"No candidate of {method} was tried in all splits of {', '.join(sorted(known))}: tune it anew with the "
            "same --lr and --option on all of them."
        )
    return max(common, key=lambda settings: statistics.fmean(_mean(settings, trials) for trials in known.values()))


def _mean(settings: Mapping[str, Scalar], trials: Trials) -> float:
    return statistics.fmean(
        trial.srcc
        for each in trials.values()
        for trial in each
        if trial.settings == settings and trial.srcc is not None
    )


def choices_path(results: Path, preset: str) -> Path:
    """Where the trials of a preset are kept: for each way to split a file, for others hold out other contents."""
    rule = preset_named(preset).split_rule
    suffix = "" if rule == "random" else f"_{rule.replace(':', '')}"
    return results / "tuned" / f"{preset}{suffix}.json"


def write_choices(
    results: Path, preset: str, method: str, dataset: str, trials: Trials, made: Made | None = None
) -> Path:
    """Add one method's trials on one set and what they were computed with, in the place of those that were there."""
    path = choices_path(results, preset)
    known = _read(path) if path.exists() else {}
    plain = {str(s): [{"settings": dict(t.settings), "srcc": t.srcc} for t in each] for s, each in trials.items()}
    known.setdefault(method, {})[dataset] = plain | ({WITH: dict(made)} if made else {})
    write_text(path, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return path


def read_choices(results: Path, preset: str) -> Choices:
    """What there is of a preset; none at all is an error that says how to make some."""
    path = choices_path(results, preset)
    if not path.exists():
        raise UsageError(f"--recipe tuned: there is no {path}. Make it with: bench tune METHOD")
    try:
        known = _read(path)
        return Choices(
            {method: {name: _trials(said) for name, said in sets.items()} for method, sets in known.items()},
            kept=preset_named(preset).tuning,
            made={
                method: {name: _made(said.get(WITH, {})) for name, said in sets.items()}
                for method, sets in known.items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); make it again with bench tune.") from error


def _trials(said: Mapping[str, Any]) -> Trials:
    """The trials in what the file says of a method on a set."""
    return {
        int(split): [Trial(dict(one["settings"]), one["srcc"]) for one in trials]
        for split, trials in said.items()
        if split != WITH
    }


def _made(said: Mapping[str, Any]) -> Made:
    """What the file says that the candidates of a method on a set were made with."""
    return {what: dict(value) if what in CHANGED else str(value) for what, value in said.items()}


def _read(path: Path) -> dict[str, Any]:
    """The file as it is. What an older `bench tune` chose holds for no split: it had seen the others' test parts."""
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        old = sorted(method for method, sets in known.items() if "chosen_on" in sets)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); remove it and make it again with bench tune.") from error
    if old:
        raise UsageError(
            f"{path} is of an older bench tune, which chose in split 0 for all splits and so had seen the others' test "
            f"parts. Remove it and choose again: bench tune {old[0]}"
        )
    return known


def origin_text(origin: str, keys: Collection[str]) -> str:
    """How a spec names where its recipe is from: "nested:lr,rank" (chosen in its split), "default" where nothing is."""
    return f"{origin}:{','.join(sorted(keys))}" if origin and keys else "default"


def chosen_keys(recipe_from: str) -> tuple[str, tuple[str, ...]]:
    """(NESTED, TRANSFERRED or "", the names of the settings that were chosen) of a spec's `recipe_from`."""
    origin, _, keys = recipe_from.partition(":")
    return (origin, tuple(keys.split(","))) if keys else ("", ())
