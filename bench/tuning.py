"""`bench tune`: a learning rate, and one option at most, chosen on validation contents inside split 0's training part.

The test part of no split is looked at. What was tried is ordinary runs, recorded below `results/tuning/`, so a
killed search goes on; what was chosen is a file that `bench run --recipe tuned` reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.code import made_by_other_code
from bench.errors import RunError, UsageError
from bench.files import write_text
from bench.planning import sort_settings
from bench.presets import Preset
from bench.protocol import MethodChoice, Request
from bench.registry import METHODS
from bench.spec import RunSpec, Scalar, recipe_options
from bench.store import Store

RATES = (1e-4, 3e-4, 1e-3, 3e-3)


@dataclass(frozen=True)
class Trial:
    """One candidate and how it did on the validation contents."""

    settings: Mapping[str, Scalar]
    srcc: float | None
    why: str = ""


def candidates(
    method: str,
    dataset: str,
    preset: Preset,
    *,
    rates: Sequence[float] = RATES,
    option: str = "",
    values: Sequence[str] = (),
    common: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Scalar] | None = None,
) -> list[tuple[dict[str, Scalar], RunSpec]]:
    """The settings to try, each with its run."""
    if option and option not in METHODS.card(method).options and option not in recipe_options():
        raise UsageError(f"{method} and the recipe have no option {option!r}.")
    choices: list[dict[str, Scalar]] = [{}]
    if option:
        choices = []
        for value in values:
            parsed = sort_settings([f"{option}={value}"], [method], [])
            choices.append({**parsed.recipe, **parsed.methods.get(method, {})})
    found = []
    for rate in rates:
        for extra in choices:
            settings: dict[str, Scalar] = {"lr": rate, **extra}
            request = Request(
                preset=preset,
                methods=(MethodChoice(method),),
                recipe=recipe or {},
                common=common or {},
                tuned={method: settings},
            )
            spec = request.spec(MethodChoice(method), dataset, (f"{dataset}:validation",), 0)
            found.append((settings, spec))
    return found


def trials(
    tried: Sequence[tuple[dict[str, Scalar], RunSpec]], store: Store, failed: Mapping[str, str] | None = None
) -> list[Trial]:
    """How every candidate did, by its record; `failed` says why by key, for those that left none."""
    records = {record["key"]: record for record in store.records() if not made_by_other_code(record)}
    found = []
    for settings, spec in tried:
        record = records.get(spec.key)
        if record is None:
            found.append(Trial(settings, None, (failed or {}).get(spec.key, "not run")))
        elif record["status"] == "failed":
            found.append(Trial(settings, None, record["error"]["message"]))
        else:
            (metrics,) = record["metrics"].values()
            found.append(Trial(settings, float(metrics["srcc"])))
    return found


def choose(found: Sequence[Trial]) -> Trial:
    """The candidate with the best validation SRCC; the earlier one of two equals."""
    sound = [trial for trial in found if trial.srcc is not None]
    if not sound:
        raise RunError(f"No candidate could be trained: {found[0].why if found else 'there are none'}.")
    return max(sound, key=lambda trial: trial.srcc or 0.0)


def choices_path(results: Path, preset: str) -> Path:
    """Where the choices of a preset are kept."""
    return results / "tuned" / f"{preset}.json"


def write_choice(results: Path, preset: str, method: str, dataset: str, best: Trial) -> Path:
    """Add or replace one method's choice."""
    path = choices_path(results, preset)
    known = json.loads(path.read_text()) if path.exists() else {}
    known[method] = {
        "settings": dict(best.settings),
        "chosen_on": f"{dataset}, validation contents of split 0",
        "srcc": best.srcc,
    }
    write_text(path, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return path


def read_choices(results: Path, preset: str) -> dict[str, dict[str, Scalar]]:
    """Method → chosen settings; none at all is an error that says how to make some."""
    path = choices_path(results, preset)
    if not path.exists():
        raise UsageError(f"--recipe tuned: there is no {path}. Make it with: bench tune METHOD")
    try:
        known = json.loads(path.read_text())
        return {method: dict(choice["settings"]) for method, choice in known.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); make it again with bench tune.") from error
