"""What a plan asks of this machine and of the sets that lie on it: refused or said before the first run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set

from bench.cli.config import Config
from bench.cli.console import note
from bench.core.code import made_by_other_code
from bench.core.errors import UsageError
from bench.core.progress import Display
from bench.core.runtime import Runtime, likely_device
from bench.core.spec import RunSpec
from bench.execution.grouping import can_pack, refuse_packs
from bench.planning.plan import Plan
from bench.planning.presets import made_sets
from bench.records.store import Store


def check_precision(specs: Sequence[RunSpec], device: str) -> None:
    """Refuse a precision that the device lacks, and say where the other one would be much faster."""
    check_precisions({spec.precision for spec in specs}, device)


def check_precisions(precisions: Set[str], device: str) -> None:
    """The same of precisions by their names."""
    if precisions == {"fp32"} and likely_device(device) != "cuda":
        return  # nothing to say, and torch need not be loaded for it
    from bench.core.machine import cpu_computes_in_bf16, pick_device, refuse_precision

    chosen = pick_device(device)
    for precision in sorted(precisions):
        refuse_precision(precision, chosen)
    if "bf16" in precisions and chosen.type == "cpu" and not cpu_computes_in_bf16():
        note("This CPU has no bf16 instructions: bf16 is emulated, 6 to 17 times slower than --precision fp32.")
    if precisions == {"fp32"} and chosen.type == "cuda":
        note("fp32, as the papers train. --precision bf16 is another run, about three times as fast on a card.")


def check_graphs(runtime: Runtime) -> None:
    """Refuse a wish for recorded steps where there is no card."""
    if runtime.graphs:
        from bench.core.machine import pick_device, refuse_graphs

        refuse_graphs(pick_device(runtime.device))


def check_packs(specs: Sequence[RunSpec], runtime: Runtime, config: Config) -> None:
    """Refuse a wish for packs where there can be none."""
    if runtime.pack < 2:
        return
    if config["executor"] != "serial":
        raise UsageError("--pack trains runs together in one process, and --executor ray spreads them: choose one.")
    if not can_pack(runtime):
        raise UsageError("--pack is for plain steps on a CPU: use --device cpu without --compile, or leave it out.")
    refuse_packs(specs)


def check_jobs(config: Config) -> None:
    """Refuse a wish for processes here where a cluster makes the runs."""
    if config["jobs"] != 1 and config["executor"] != "serial":
        raise UsageError("--jobs makes runs side by side here, and --executor ray spreads them itself: choose one.")


def warn_of_shared_pictures(plan: Plan, runtime: Runtime) -> None:
    """Say of all sets of which one trains and the other tests whether they share pictures; each is hashed once."""
    from bench.data.locate import load_dataset
    from bench.data.obtain.overlap import compare, fingerprints
    from bench.data.pixels.store import usable_cores

    tested = {(name, target.dataset) for s in plan.specs for target in s.tests for name in s.trained_on}
    crossed = {(train, test) for train, test in tested if train != test}
    pairs = sorted({pair if pair[::-1] not in crossed else min(pair, pair[::-1]) for pair in crossed})
    with Display() as display:
        hashed = {}
        for name in sorted({name for pair in pairs for name in pair}):
            dataset = load_dataset(name, runtime.data, runtime.cache, partial=runtime.partial, progress=display.report)
            hashed[name] = fingerprints(dataset, runtime.cache, workers=usable_cores(), progress=display.report)
        for train, test in pairs:
            overlap = compare(hashed[train], hashed[test])
            display.line(f"Warning: {overlap.sentence()}" if overlap.pairs else overlap.sentence())


def refuse_other_data(plan: Plan, runtime: Runtime, store: Store, pending: Set[str]) -> None:
    """Refuse to take runs for done that were made when a set had other pictures, labels or splits than it has now.

    One record of what is wanted, by today's code where there is any, is enough.
    """
    pinned = made_sets()
    done = {s.training_key: s for s in plan.specs if not s.datasets <= pinned and s.key not in pending}
    if not done:
        return
    from bench.report.verify import DataNow

    answers: dict[str, dict[bool, list[set[str]]]] = {}
    with Display() as display:
        now = DataNow(
            runtime.data, runtime.cache, results=runtime.results, partial=runtime.partial, report=display.report
        )
        for record, spec in store.sound():
            wanted = done.get(spec.training_key)
            if wanted is not None and spec.covers(wanted) and record["status"] == "done":
                complaints = set(now.complaints(record, spec, wanted.tests))
                answers.setdefault(wanted.key, {}).setdefault(not made_by_other_code(record), []).append(complaints)
    best = [known.get(True) or known[False] for known in answers.values()]
    if differing := Counter(what for each in best if all(each) for what in set().union(*each)):
        what, count = differing.most_common(1)[0]
        raise UsageError(
            f"Of the runs that are done, {count} cannot be taken: {what}. Make them again with --overwrite always, "
            "or give another folder with --results."
        )


def tell_of_parts(pending: Sequence[RunSpec], runtime: Runtime) -> None:
    """Say how much there is of each set that --partial lets through."""
    from bench.data.locate import load_dataset

    for name in sorted(_datasets(pending)):
        dataset = load_dataset(name, runtime.data, runtime.cache, partial=True)
        for said in dataset.notes:
            if said.startswith("partial"):
                note(f"{name}: {said}.")


def _datasets(specs: Sequence[RunSpec]) -> set[str]:
    return {name for spec in specs for name in spec.datasets}
