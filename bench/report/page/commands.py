"""The command that repeats a run, from the run's own description."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from bench.core.mixes import flags_of, is_mix
from bench.core.registry import METHODS
from bench.core.spec import RunSpec, Scalar
from bench.planning.choices import chosen_keys
from bench.planning.presets import preset_named
from bench.report.arms import UNSET, Arm


def commands_of(spec: RunSpec, arm: Arm) -> list[str]:
    """The commands that repeat a run with its tests; none for a method that is not known here."""
    if spec.method not in METHODS:
        return []
    commands = []
    own = [target for target in spec.tests if target.dataset in spec.trained_on]
    others = sorted({target.dataset for target in spec.tests if target.dataset not in spec.trained_on})
    if is_mix(spec.train):
        commands.append([*flags_of(spec.train).split(), *(["--test-on", ",".join(others)] if others else [])])
    elif own:
        commands.append(["-p", "main", "-d", spec.train])
    if others and not is_mix(spec.train):
        commands.append(["-p", "cross", "--train-on", spec.train, "--test-on", ",".join(others)])
    shared = ["--preset", spec.preset, "--splits", str(spec.split + 1), *_changes(spec, arm)]
    return [shlex.join(["bench", "run", "-m", spec.method, *which, *shared]) for which in commands]


def _changes(spec: RunSpec, arm: Arm) -> Iterator[str]:
    """The flags for everything that is not as the preset has it."""
    if spec.backbone != arm.plain.backbone:
        yield from ("--backbone", spec.backbone)
    if spec.weights != "pretrained":
        yield from ("--weights", spec.weights if spec.weights == "random" else "FILE")
    if spec.cnn_weights != "pretrained":
        yield from ("--cnn-weights", "FILE")
    if spec.precision != "fp32":
        yield from ("--precision", spec.precision)
    if spec.limit:
        yield from ("--limit", str(spec.limit))
    if spec.budget:
        yield from ("--budget", str(spec.budget))
    if chosen_keys(spec.recipe_from)[1]:
        yield from ("--recipe", "tuned")
    for setting in _settings(spec, arm):
        yield from ("--set", setting)


def _settings(spec: RunSpec, arm: Arm) -> Iterator[str]:
    for name, value in (*arm.recipe, *_seed(spec, arm)):
        yield f"{name}={_typed(value)}"
    facts = METHODS.card(spec.method).facts
    for name, value in arm.options:
        if value != UNSET and not (spec.budget and name == facts["sized_by"]):
            yield f"{spec.method}.{name}={'FILE' if name in facts['files'] and value else _typed(value)}"
    if spec.fraction != 0.8:
        yield f"fraction={spec.fraction!r}"
    if spec.source != "split":
        yield f"source={spec.source}"
    if spec.split_rule != preset_named(spec.preset).rule_for(spec.train):
        yield f"split_rule={spec.split_rule}"


def _seed(spec: RunSpec, arm: Arm) -> list[tuple[str, Scalar]]:
    """The seed of a repetition of k-fold, which makes no arm of its own."""
    return [("seed", spec.recipe.seed)] if spec.folds and spec.recipe.seed and "seed" not in dict(arm.recipe) else []


def _typed(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
