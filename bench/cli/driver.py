"""What the command does between parsing and printing: execute a plan, preview it, write tables, list splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.config import Config
from bench.cli.console import grid, note, say, silenced
from bench.cli.live import view_of
from bench.cli.plan_lines import PlanView
from bench.core.code import told_apart
from bench.core.errors import UsageError
from bench.core.progress import Display, counted
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.execution.grouping import can_pack, refuse_packs
from bench.execution.orders import ExecutionOptions, Summary
from bench.execution.serial import execute_serial
from bench.execution.slurm import script, share
from bench.planning.plan import Plan
from bench.planning.presets import made_sets
from bench.records.plans import note_plan
from bench.records.store import Store
from bench.records.times import Times

if TYPE_CHECKING:
    from bench.records.results import Results


def _datasets(specs: Sequence[RunSpec]) -> set[str]:
    return {name for spec in specs for name in spec.datasets}


def warn_of_shared_pictures(plan: Plan, runtime: Runtime) -> None:
    """Say of all sets of which one trains and the other tests whether they share pictures; each is hashed once."""
    from bench.data.locate import load_dataset
    from bench.data.obtain.overlap import compare, fingerprints
    from bench.data.pixels.store import usable_cores

    crossed = {(s.train, target.dataset) for s in plan.specs for target in s.tests if target.dataset != s.train}
    pairs = sorted({pair if pair[::-1] not in crossed else min(pair, pair[::-1]) for pair in crossed})
    with Display() as display:
        hashed = {}
        for name in sorted({name for pair in pairs for name in pair}):
            dataset = load_dataset(name, runtime.data, runtime.cache, partial=runtime.partial, progress=display.report)
            hashed[name] = fingerprints(dataset, runtime.cache, workers=usable_cores(), progress=display.report)
        for train, test in pairs:
            found = compare(hashed[train], hashed[test])
            display.line(f"Warning: {found.sentence()}" if found.pairs else found.sentence())


def execute(
    plan: Plan, runtime: Runtime, config: Config, debug: bool, *, quiet: bool = False, as_json: bool = False
) -> int:
    """Make what is pending; the exit code says whether some run failed."""
    tell = silenced if quiet else note
    store = Store(runtime.results)
    store.ready()
    pending = store.pending(plan.specs, config["overwrite"])
    report_problems(store)
    report_other_code(store, config["overwrite"])
    refuse_other_data(plan, runtime, store, {spec.key for spec in pending})
    failed_before = _failed_before(plan, store, pending)
    done_before = len(plan.specs) - len(pending) - failed_before
    failures = f", {failed_before} failed before" if failed_before else ""
    wanted = counted(len(plan.specs), "run")
    tell(f"{wanted} wanted, {done_before} of them done before{failures}, {len(pending)} to make.")
    view = view_of(pending, Times.read(store), quiet=quiet, as_json=as_json)
    counts = {"wanted": len(plan.specs), "done_before": done_before, "failed_before": failed_before}
    about = {"protocols": list(plan.protocols), "preset": plan.preset.name, "results": str(runtime.results)}
    view.plan(counts | {"to_make": len(pending)} | about)
    if not pending:
        if failed_before:
            note("`bench status` says why; --overwrite failed tries the failed ones again.")
        view.finished_plan(_came_of(Summary()))
        return 1 if failed_before else 0
    if runtime.partial:
        tell_of_parts(pending, runtime)
    noted = note_plan(store, pending)
    summary = _shown(pending, runtime, config, debug, view)
    view.finished_plan(_came_of(summary))
    if summary.interrupted:
        left = len(pending) - summary.finished
        note(f"Stopped: {len(summary.done)} made, {left} left. The same command goes on from here.")
        return 130
    if summary.finished == len(pending) and not summary.mendable:
        noted.unlink(missing_ok=True)
    others = len(summary.elsewhere)
    elsewhere = f", {others} made by other processes" if others else ""
    advice = _advice(plan, summary, anything=bool(summary.done or others or done_before))
    tell(f"{len(summary.done)} made, {len(summary.failed)} failed{elsewhere}.{advice}")
    return 1 if summary.failed else 0


def _shown(pending: Sequence[RunSpec], runtime: Runtime, config: Config, debug: bool, view: PlanView) -> Summary:
    """Execute the pending runs while the view shows how far they are."""
    part = share()
    with view:
        options = ExecutionOptions(
            config["overwrite"], say=view.say, watch=view, debug=debug, share=part or (0, 1), wait=part is None
        )
        return _executed(pending, runtime, options, config)


def _came_of(summary: Summary) -> dict[str, object]:
    """A summary in numbers."""
    counts = {"made": len(summary.done), "failed": len(summary.failed), "elsewhere": len(summary.elsewhere)}
    return {**counts, "interrupted": summary.interrupted}


def _advice(plan: Plan, summary: Summary, *, anything: bool) -> str:
    """What to do next: mend what failed, and look at a table where there is anything for one."""
    from bench.data.splits import TRAIN_SHARE

    said = ""
    if summary.mendable:
        again = counted(len(summary.mendable), "failed run")
        said += f" The same command makes {again} again, once the cause is mended."
    if len(summary.failed) > len(summary.mendable):
        said += " `bench status` says why; --overwrite failed tries again."
    smoke = " --smoke" if any(spec.limit for spec in plan.specs) else ""
    parts = any(spec.fraction != TRAIN_SHARE for spec in plan.specs)  # their tables are not the protocol's own
    names = "" if parts else f" {','.join(plan.protocols)}"
    return said + (f" Next: bench table{names}{smoke}" if anything else "")


def refuse_other_data(plan: Plan, runtime: Runtime, store: Store, pending: Set[str]) -> None:
    """Refuse to take runs for done that were made when a set had other pictures, labels or splits than it has now."""
    pinned = made_sets()
    wanted = {s.training_key for s in plan.specs if not s.datasets <= pinned and s.key not in pending}
    if not wanted:
        return
    from bench.report.verify import DataNow

    found: Counter[str] = Counter()
    with Display() as display:
        now = DataNow(
            runtime.data, runtime.cache, results=runtime.results, partial=runtime.partial, report=display.report
        )
        for record, spec in store.sound():
            if spec.training_key in wanted and record["status"] == "done":
                found.update(set(now.complaints(record, spec)))
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
    from bench.core.machine import cpu_computes_in_bf16, pick_device, refuse_precision

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


def _executed(pending: Sequence[RunSpec], runtime: Runtime, options: ExecutionOptions, config: Config) -> Summary:
    if config["executor"] == "serial":
        return execute_serial(pending, runtime, options)
    from bench.execution.cluster.driver import execute_ray

    return execute_ray(pending, runtime, options, config["address"] or None)


def write_slurm(
    path: Path, arguments: Sequence[str], plan: Plan, runtime: Runtime, tasks: int, overwrite: str = "changed"
) -> None:
    """Write the array job that makes this plan."""
    from bench.core.files import write_text

    if overwrite == "always":
        raise UsageError(
            "--overwrite always is not for an array: a member that begins later, or again, would train once more what "
            "others have just trained. Give the array another folder with --results instead."
        )
    runs = len(Store(runtime.results).pending(plan.specs, overwrite))
    if not runs:
        note(f"Nothing is left to make: {path} was not written.")
        return
    tasks = max(1, min(tasks, runs))
    text = script(arguments, tasks=tasks, results=runtime.results, device=runtime.device, threads=runtime.threads)
    write_text(path, text)
    shares = f"{counted(runs, 'run')} for {counted(tasks, 'member')}"
    say(f"Written: {path} ({shares}). Adapt it to your site, then: sbatch {path}")


def _failed_before(plan: Plan, store: Store, pending: Sequence[RunSpec]) -> int:
    """How many of the wanted runs failed and are not to be made again."""
    keys = {spec.key for spec in plan.specs} - {spec.key for spec in pending}
    return sum(record["status"] == "failed" and record["key"] in keys for record in store.records()) if keys else 0


def report_problems(store: Store) -> None:
    """Files in the results folder that are not used, and why."""
    for problem in store.problems[:10]:
        note(f"Not used: {problem.path.name} {problem.why.removesuffix('.')}.")
    if len(store.problems) > 10:
        note(f"… and {len(store.problems) - 10} more files that are not used.")


def note_official_in_name_only(results: Results) -> None:
    """Say of how many runs tables and figures are without, because they were split otherwise than they say."""
    from bench.records.results import official_in_name_only

    if count := sum(official_in_name_only(record.body) for record in results.records):
        note(f"Left out: {counted(count, 'run')} made on a random split under split_rule=official (see bench verify).")


def report_other_code(store: Store, overwrite: str) -> None:
    """Say of the wanted runs that other code has made by which it was, and what becomes of them."""
    if not store.made_by:
        return
    one = len(store.made_by) == 1
    kept = f"{'it stays' if one else 'they stay'} (--overwrite never)"
    again = "it is made again, the old record is put aside" if one else ""
    again = again or "they are made again, the old records are put aside"
    note(f"{told_apart(store.made_by)}: {kept if overwrite == 'never' else again}.")


USUAL_SPLITS = 10
"""As many as the papers have; so many are listed where a set has them and none are asked for."""


def print_splits(
    config: Config, name: str, numbers: Sequence[int], export: Path | None, split_rule: str = "random"
) -> None:
    """The splits of a dataset: a line each, or every image's side as CSV. No number: the first ten there are."""
    from bench.cli.split_files import listed_rule
    from bench.core.files import write_text
    from bench.data.locate import load_dataset
    from bench.data.splits import count_of_splits, make_split, too_many_splits

    dataset = load_dataset(name, config.data, config.cache)
    split_rule = listed_rule(dataset, split_rule, config)
    count = count_of_splits(dataset, split_rule)
    if split_rule == "random" and count is not None and any(number >= count for number in numbers):
        raise UsageError(too_many_splits(name, dataset.table["group"].nunique(), count))
    if not numbers:
        numbers = range(min(USUAL_SPLITS, count or USUAL_SPLITS))
        if len(numbers) < USUAL_SPLITS and split_rule == "random":
            few = counted(dataset.table["group"].nunique(), "content")
            note(f"{name} has {few} and so only {count} different test parts: these are all its splits.")
    names = dataset.table["image"].tolist()
    rows, lines = [], ["split,side,image"]
    for number in numbers:
        split = make_split(dataset, number, split_rule=split_rule, results=Path(config["results"]))
        groups = dataset.table["group"]
        contents = (groups.iloc[split.train].nunique(), groups.iloc[split.test].nunique())
        rows.append((number, len(split.train), len(split.test), *contents, split.hash(names)))
        for side, part in (("train", split.train), ("test", split.test)):
            lines += [f"{number},{side},{names[i]}" for i in part]
    grid(
        ("split", "train images", "test images", "train contents", "test contents", "hash"),
        rows,
        title=f"{dataset.name}, {split_rule}",
    )
    if export is not None:
        write_text(export, "\n".join(lines) + "\n")
        say(f"Written: {export}")


def check_method_and_print(name: str, backbone: str, settings: Sequence[str]) -> int:
    """Run the conformance list on a method and print it; 1 when something does not hold."""
    from bench.models.conformance import check_method
    from bench.planning.plan import sort_settings

    options = sort_settings(settings, [name], []).methods.get(name, {})
    results = check_method(name, options, backbone=backbone)
    grid(("check", "holds", "seen"), [(r.name, "yes" if r.passed else "NO", r.detail) for r in results], title=name)
    return 0 if all(r.passed for r in results) else 1
