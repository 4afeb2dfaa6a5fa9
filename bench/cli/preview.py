"""What `bench run --dry-run` prints: the runs of a plan, what is done of them, and about how long the rest takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bench.cli.console import grid, say
from bench.cli.problems import report_other_code, report_problems
from bench.core.progress import clock, counted
from bench.core.runtime import Runtime, likely_device
from bench.core.spec import RunSpec
from bench.core.split_rules import is_fixed
from bench.planning.plan import Plan
from bench.records.store import Store
from bench.records.times import Times, kind_of
from bench.report.arms import Arm, arm_of, shared_changes

USUAL_FRACTION = 0.8


@dataclass(frozen=True)
class Kind:
    """Runs that stand in one line of a preview: they differ in their split and their training set only."""

    protocols: str
    method: str
    part: str
    tested_on: str


def preview(plan: Plan, runtime: Runtime, overwrite: str) -> None:
    """Print the runs to do and those done, by protocol and method, and an estimate of the time."""
    store = Store(runtime.results)
    pending = store.pending(plan.specs, overwrite)
    report_problems(store)
    report_other_code(store, overwrite)
    rows, shared = rows_of(plan, {spec.key for spec in pending})
    columns = ("protocol", "method", "trained on", "share", "tested on", "done", "to run")
    grid(columns, rows, title=f"{', '.join(plan.protocols)}; preset {plan.preset.name}")
    if shared:
        say(f"In all of them: {', '.join(shared)}.")
    say(f"{counted(len(plan.specs), 'run')} planned, {len(plan.specs) - len(pending)} done, {len(pending)} to run.")
    if pending:
        kept = {s.training_key for s in pending if overwrite != "always" and store.state_path(s).exists()}
        say(time_line(pending, store, runtime, kept))


def rows_of(plan: Plan, waiting: Collection[str]) -> tuple[list[tuple[object, ...]], tuple[str, ...]]:
    """(a row for each kind of run, in the order of protocols and of the papers' tables; what all runs changed)."""
    arms = {spec: arm_of(spec) for spec in plan.specs}
    shared = shared_changes(list(dict.fromkeys(arms.values())))
    counts: dict[Kind, list[int]] = {}
    sets: dict[Kind, dict[str, None]] = {}
    for spec in sorted(plan.specs, key=lambda spec: _place(plan, spec, arms[spec])):
        kind = Kind(", ".join(plan.asked_by[spec.training_key]), _named(arms[spec], shared), _part(spec), _tests(spec))
        counts.setdefault(kind, [0, 0])[spec.key in waiting] += 1
        sets.setdefault(kind, {})[spec.train] = None
    rows = [
        (kind.protocols, kind.method, ", ".join(sets[kind]), kind.part, kind.tested_on, *counts[kind])
        for kind in counts
    ]
    return rows, shared


def _place(plan: Plan, spec: RunSpec, arm: Arm) -> tuple[object, ...]:
    """Protocols in the order asked, methods as in the papers' tables."""
    return [plan.protocols.index(name) for name in plan.asked_by[spec.training_key]], arm.order(), spec.fraction


def _named(arm: Arm, shared: Collection[str]) -> str:
    """A method by the name it is asked for, and what sets it apart from the others here."""
    changes = [change for change in arm.run_changes() if change not in shared]
    return ", ".join([arm.method, *arm.option_changes(), *changes])


def _part(spec: RunSpec) -> str:
    """How much of its set it trains on."""
    if is_fixed(spec.split_rule):
        return "as the split has it"
    if spec.folds and spec.fraction == USUAL_FRACTION and spec.source != "all":
        return f"{spec.folds - 1} of {spec.folds} folds"
    return "all" if spec.source == "all" and spec.fraction == USUAL_FRACTION else f"{spec.fraction:.0%}"


def _tests(spec: RunSpec) -> str:
    """What it is tested on; its own test part is said so that equal rows of several sets become one."""
    own, whole = f"{spec.train}:test", [name.removesuffix(":all") for name in spec.tests if name.endswith(":all")]
    parts = [target for target in spec.tests if target != own and not target.endswith(":all")]
    said = (["its test part"] if own in spec.tests else []) + parts
    return ", ".join(said + ([f"all of {', '.join(whole)}"] if whole else []))


def time_line(pending: Sequence[RunSpec], store: Store, runtime: Runtime, kept: Collection[str] = ()) -> str:
    """How long the runs take: by records of runs like them, and the others by arithmetic.

    `kept`: the trainings whose weights are kept, so that only the tests are left.
    """
    times = Times.read(store, likely_device(runtime.device))
    each = [times.of(kind_of(spec)) for spec in pending]
    known = [seconds for seconds in each if seconds is not None]
    others = [spec for spec, seconds in zip(pending, each, strict=True) if seconds is None]
    if not others:
        return f"About {clock(sum(known))}, by the records in {runtime.results}."
    from bench.execution.profiling.estimate import rough_seconds

    rough = rough_seconds(others, runtime, kept)
    said = f"About {clock(sum(known) + rough)}: rough, from arithmetic and this machine's rate, often off by two"
    return f"{said}{f'; for {len(known)} of them by the records in {runtime.results}' if known else ''}."
