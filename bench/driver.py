"""What the command does between parsing and printing: execute a plan, preview it, write tables, list splits."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from bench.config import Config
from bench.console import grid, note, say
from bench.errors import UsageError
from bench.executors import Orders, Summary, execute_serial
from bench.packs import can_pack, refuse_packs
from bench.planned import note_plan
from bench.planning import Plan
from bench.presets import preset_named
from bench.progress import Display, clock, counted
from bench.runtime import Runtime
from bench.slurm import script, share
from bench.spec import RunSpec
from bench.store import Store


def check_sets(plan: Plan, runtime: Runtime, *, found: bool) -> None:
    """Refuse a plan with unknown datasets, or (where they must be found) missing ones, before any work is done."""
    from bench.data.locate import source_of

    missing = []
    for name in sorted(_datasets(plan.specs)):
        source = source_of(name, runtime.data, runtime.cache)
        if source.folders and (source.place.path is None or not source.place.path.is_dir()):
            missing.append(name)
    if missing and found:
        raise UsageError(
            f"No folder for {', '.join(missing)}. Say in bench.toml where they lie ([data] root = ..., or [data.NAME] "
            "path = ...), or choose others with --dataset; `bench data check NAME` says what to get and from whom."
        )


def _datasets(specs: Sequence[RunSpec]) -> set[str]:
    return {name for spec in specs for name in spec.datasets}


def warn_of_shared_pictures(plan: Plan, runtime: Runtime) -> None:
    """Say of every pair of sets that one trains and the other tests on whether they share pictures."""
    from bench.data.locate import load_dataset
    from bench.data.overlap import overlap
    from bench.data.pixels import usable_cores

    pairs = sorted(
        {(s.train, t.rpartition(":")[0]) for s in plan.specs for t in s.tests if t.rpartition(":")[0] != s.train}
    )
    with Display() as display:
        sets = {
            name: load_dataset(name, runtime.data, runtime.cache, partial=runtime.partial, progress=display.report)
            for name in sorted({name for pair in pairs for name in pair})
        }
        for train, test in pairs:
            found = overlap(sets[train], sets[test], workers=usable_cores(), progress=display.report)
            display.line(f"Warning: {found.sentence()}" if found.pairs else found.sentence())


def execute(plan: Plan, runtime: Runtime, config: Config, debug: bool) -> int:
    """Make what is pending; the exit code says whether some run failed."""
    store = Store(runtime.results)
    store.ready()
    pending = store.pending(plan.specs, config["overwrite"])
    report_problems(store)
    refuse_other_data(plan, runtime, store, {spec.key for spec in pending})
    known = len(plan.specs) - len(pending)
    note(f"{counted(len(plan.specs), 'run')} wanted, {known} of them done before, {len(pending)} to make.")
    if not pending:
        return _failures(plan, store)
    if runtime.partial:
        tell_of_parts(pending, runtime)
    noted = note_plan(store, pending)
    with Display() as display:
        display.report(0, len(pending), "runs")
        part = share()
        orders = Orders(
            config["overwrite"], display.report, display.line, debug, share=part or (0, 1), wait=part is None
        )
        summary = _executed(pending, runtime, orders, config)
    made, failed, others = len(summary.done), len(summary.failed), len(summary.elsewhere)
    if summary.interrupted:
        note(f"Stopped: {made} made, {len(pending) - made - failed - others} left. The same command goes on from here.")
        return 130
    if made + failed + others == len(pending) and not summary.mendable:
        noted.unlink(missing_ok=True)
    elsewhere = f", {others} made by other processes" if others else ""
    again = counted(len(summary.mendable), "failed run")
    advice = f" The same command makes {again} again, once what is said above is mended." if summary.mendable else ""
    note(f"{made} made, {failed} failed{elsewhere}.{advice} Next: bench table {','.join(plan.protocols)}")
    return 1 if summary.failed else 0


def refuse_other_data(plan: Plan, runtime: Runtime, store: Store, pending: Set[str]) -> None:
    """Refuse to take runs for done that were made when a set had other pictures, scores or splits than it has now."""
    pinned = set(preset_named("demo").main)
    wanted = {s.training_key for s in plan.specs if not s.datasets <= pinned and s.key not in pending}
    if not wanted:
        return
    from bench.verify import DataNow

    found: Counter[str] = Counter()
    with Display() as display:
        now = DataNow(runtime.data, runtime.cache, partial=runtime.partial, report=display.report)
        for record, spec in store.sound():
            if spec.training_key in wanted and record["status"] == "done":
                found.update(set(now.complaints(record)))
    if found:
        what, count = found.most_common(1)[0]
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


def check_precision(specs: Sequence[RunSpec], device: str) -> None:
    """Refuse a precision that the device lacks, and say where the other one would be much faster."""
    wanted = {spec.precision for spec in specs}
    if wanted == {"fp32"} and not (device == "cuda" or (device == "auto" and Path("/dev/nvidiactl").exists())):
        return  # nothing to say, and torch need not be loaded for it
    from bench.machine import cpu_computes_in_bf16, pick_device, refuse_precision

    chosen = pick_device(device)
    for precision in sorted(wanted):
        refuse_precision(precision, chosen)
    if "bf16" in wanted and chosen.type == "cpu" and not cpu_computes_in_bf16():
        note("This CPU has no bf16 instructions: bf16 is emulated, 6 to 17 times slower than --precision fp32.")
    if wanted == {"fp32"} and chosen.type == "cuda":
        note("fp32, as the papers train. --precision bf16 is another run, about three times as fast on a card.")


def check_packs(specs: Sequence[RunSpec], runtime: Runtime, config: Config) -> None:
    """Refuse a wish for packs where there can be none."""
    if runtime.pack < 2:
        return
    if config["executor"] != "serial":
        raise UsageError("--pack trains runs together in one process, and --executor ray spreads them: choose one.")
    if not can_pack(runtime):
        raise UsageError("--pack is for plain steps on a CPU: use --device cpu without --compile, or leave it out.")
    refuse_packs(specs)


def _executed(pending: Sequence[RunSpec], runtime: Runtime, orders: Orders, config: Config) -> Summary:
    if config["executor"] == "serial":
        return execute_serial(pending, runtime, orders)
    from bench.ray_executor import execute_ray

    return execute_ray(pending, runtime, orders, config["address"] or None)


def write_slurm(path: Path, arguments: Sequence[str], plan: Plan, runtime: Runtime, tasks: int) -> None:
    """Write the array job that makes this plan."""
    from bench.files import write_text

    runs = len(Store(runtime.results).pending(plan.specs))
    tasks = max(1, min(tasks, runs))
    text = script(arguments, tasks=tasks, results=runtime.results, device=runtime.device, threads=runtime.threads)
    write_text(path, text)
    shares = f"{counted(runs, 'run')} for {counted(tasks, 'member')}"
    say(f"Written: {path} ({shares}). Adapt it to your site, then: sbatch {path}")


def _failures(plan: Plan, store: Store) -> int:
    """Runs that failed before still count as failed."""
    keys = {spec.key for spec in plan.specs}
    failed = [r for r in store.records() if r["status"] == "failed" and r["key"] in keys]
    if failed:
        note(f"{len(failed)} of them failed (see bench status); --overwrite failed tries them again.")
    return 1 if failed else 0


def report_problems(store: Store) -> None:
    """Files in the results folder that are not used, and why."""
    for problem in store.problems[:10]:
        note(f"Not used: {problem.path.name} {problem.why.removesuffix('.')}.")
    if len(store.problems) > 10:
        note(f"… and {len(store.problems) - 10} more files that are not used.")


def preview(plan: Plan, runtime: Runtime, overwrite: str) -> None:
    """What `--dry-run` prints: the runs to make, those done, and how long by the records there are."""
    store = Store(runtime.results)
    pending = store.pending(plan.specs, overwrite)
    report_problems(store)
    counts: dict[tuple[str, ...], list[int]] = {}
    waiting = {spec.key for spec in pending}
    for spec in plan.specs:
        share = "all" if spec.source == "all" and spec.fraction == 0.8 else f"{spec.fraction:.0%}"
        row = counts.setdefault((spec.method, spec.train, share, ", ".join(spec.tests)), [0, 0])
        row[spec.key in waiting] += 1
    rows = [(*key, made, left) for key, (made, left) in counts.items()]
    grid(
        ("method", "train", "of the set", "test", "done", "to make"),
        rows,
        title=f"{', '.join(plan.protocols)}, preset {plan.preset.name}",
    )
    say(f"{counted(len(plan.specs), 'run')} wanted, {len(plan.specs) - len(pending)} done, {len(pending)} to make.")
    seconds, known = estimate(pending, store)
    if known:
        rest = "" if known == len(pending) else f" for {known} of them (no record to estimate the others from)"
        say(f"About {clock(seconds)}{rest}, by the records in {runtime.results}.")
    elif pending:
        say("No records to estimate the time from.")


def estimate(pending: Sequence[RunSpec], store: Store) -> tuple[float, int]:
    """(seconds, of how many runs): from records of the same method, training set and number of epochs."""
    times: dict[tuple[str, str, int, float], list[float]] = {}
    for record in store.records():
        if record["status"] == "done":
            spec = RunSpec.from_dict(record["spec"])
            total = sum(record["seconds"].values())
            times.setdefault(_alike(spec), []).append(total)
    known = [times[_alike(spec)] for spec in pending if _alike(spec) in times]
    return sum(sorted(values)[len(values) // 2] for values in known), len(known)


def _alike(spec: RunSpec) -> tuple[str, str, int, float]:
    return spec.method, spec.train, spec.recipe.epochs, spec.fraction


def write_tables(root: Path, protocols: Sequence[str], **wishes: Any) -> None:
    """Write and print the tables."""
    from bench.rendering.terminal import print_table
    from bench.results import Results
    from bench.tables import make_tables

    store = Store(root)
    results = Results.read(store)
    gc.freeze()  # the records stay to the end: no collection need search them again
    report_problems(store)
    written = make_tables(results, protocols, out=root / "tables", complain=note, **wishes)
    for item in written:
        print_table(item.table)
    for item in written:
        say(f"Written: {', '.join(str(path) for path in item.paths)}")


def print_splits(config: Config, name: str, numbers: Sequence[int], export: Path | None) -> None:
    """The splits of a dataset: a line each, or every image's side as CSV."""
    from bench.data.locate import load_dataset
    from bench.data.splits import make_split
    from bench.files import write_text

    dataset = load_dataset(name, config.data, config.cache)
    names = dataset.table["image"].tolist()
    rows, lines = [], ["split,side,image"]
    for number in numbers:
        split = make_split(dataset, number)
        groups = dataset.table["group"]
        contents = (groups.iloc[split.train].nunique(), groups.iloc[split.test].nunique())
        rows.append((number, len(split.train), len(split.test), *contents, split.hash(names)))
        for side, part in (("train", split.train), ("test", split.test)):
            lines += [f"{number},{side},{names[i]}" for i in part]
    grid(("split", "train images", "test images", "train contents", "test contents", "hash"), rows, title=dataset.name)
    if export is not None:
        write_text(export, "\n".join(lines) + "\n")
        say(f"Written: {export}")


def check_method_and_print(name: str, backbone: str, settings: Sequence[str]) -> int:
    """Run the conformance list on a method and print it; 1 when something does not hold."""
    from bench.conformance import check_method
    from bench.planning import sort_settings

    options = sort_settings(settings, [name], []).methods.get(name, {})
    results = check_method(name, options, backbone=backbone)
    grid(("check", "holds", "seen"), [(r.name, "yes" if r.passed else "NO", r.detail) for r in results], title=name)
    return 0 if all(r.passed for r in results) else 1
