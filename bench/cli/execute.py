"""From a plan to its runs: what is pending is made here, on a cluster, or written down for Slurm."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.cli.checks import refuse_other_data, tell_of_parts
from bench.cli.config import Config
from bench.cli.console import note, say, silenced
from bench.cli.live import view_of
from bench.cli.plan_lines import PlanView
from bench.cli.problems import report_other_code, report_problems
from bench.core.errors import UsageError
from bench.core.progress import counted
from bench.core.runtime import Runtime, likely_device
from bench.core.spec import RunSpec
from bench.execution.orders import ExecutionOptions, Summary
from bench.execution.serial import execute_serial
from bench.execution.slurm import script, share
from bench.planning.plan import Plan
from bench.records.plans import note_plan
from bench.records.store import Store
from bench.records.times import Times


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
    runs = counted(len(plan.specs), "run")
    tell(f"{runs} planned, {done_before} done before{failures}, {len(pending)} to run.")
    here = likely_device(runtime.device) if config["executor"] == "serial" else ""
    view = view_of(pending, Times.read(store, here), quiet=quiet, as_json=as_json)
    counts = {"wanted": len(plan.specs), "done_before": done_before, "failed_before": failed_before}
    about = {"protocols": list(plan.protocols), "preset": plan.preset.name, "results": str(runtime.results)}
    view.plan(counts | {"to_make": len(pending)} | about)
    if not pending:
        if failed_before:
            note("`bench status` says why; --overwrite failed tries the failed ones again.")
        view.finished_plan(_came_of(Summary()))
        return 1 if failed_before else 0
    if config["overwrite"] == "always":
        runtime = replace(runtime, anew_since=time.time())
    if runtime.partial:
        tell_of_parts(pending, runtime)
    noted = note_plan(store, pending)
    summary = _shown(pending, runtime, config, debug, view)
    view.finished_plan(_came_of(summary))
    if summary.interrupted:
        left = len(pending) - summary.finished
        note(f"Stopped: {len(summary.done)} done, {left} left. The same command goes on from here.")
        return 130
    if summary.finished == len(pending) and not summary.mendable:
        noted.unlink(missing_ok=True)
    others = len(summary.elsewhere)
    elsewhere = f", {others} done by other processes" if others else ""
    advice = _advice(plan, summary, anything=bool(summary.done or others or done_before))
    tell(f"{len(summary.done)} done, {len(summary.failed)} failed{elsewhere}.{advice}")
    return 1 if summary.failed else 0


def _shown(pending: Sequence[RunSpec], runtime: Runtime, config: Config, debug: bool, view: PlanView) -> Summary:
    """Execute the pending runs while the view shows how far they are."""
    part = share()
    with view:
        options = ExecutionOptions(
            config["overwrite"], say=view.say, watch=view, debug=debug, share=part or (0, 1), wait=part is None
        )
        return _executed(pending, runtime, options, config)


def execute_here(pending: Sequence[RunSpec], runtime: Runtime, options: ExecutionOptions, jobs: int | str) -> Summary:
    """Make runs on this machine: one after the other, or as many at once as `jobs` says."""
    if jobs == 1:
        return execute_serial(pending, runtime, options)
    from bench.execution.jobs.crew import crew_of
    from bench.execution.jobs.driver import execute_jobs

    crew = crew_of(jobs, len(pending), runtime)
    if crew.count > 1 and options.watch.in_words:
        options.say(f"{crew.in_words()}.")
    return execute_jobs(pending, runtime, options, crew)


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
    return said + (f" Next: bench table{names}{smoke}, or bench report" if anything else "")


def _executed(pending: Sequence[RunSpec], runtime: Runtime, options: ExecutionOptions, config: Config) -> Summary:
    if config["executor"] == "serial":
        return execute_here(pending, runtime, options, config["jobs"])
    from bench.execution.cluster.driver import execute_ray

    return execute_ray(pending, runtime, options, config["address"] or None)


def _failed_before(plan: Plan, store: Store, pending: Sequence[RunSpec]) -> int:
    """How many of the wanted runs failed and are not to be repeated."""
    keys = {spec.key for spec in pending}
    answered = [spec for spec in plan.specs if spec.key not in keys]
    return len(store.failed(answered)) if answered else 0


def write_slurm(
    path: Path, arguments: Sequence[str], plan: Plan, runtime: Runtime, tasks: int, overwrite: str = "changed"
) -> None:
    """Write the array job that makes this plan."""
    from bench.core.files import write_named

    if overwrite == "always":
        raise UsageError(
            "--overwrite always is not for an array: a member that begins later, or again, would train once more what "
            "others have just trained. Give the array another folder with --results instead."
        )
    runs = len(Store(runtime.results).pending(plan.specs, overwrite))
    if not runs:
        note(f"Nothing is left to run: {path} was not written.")
        return
    tasks = max(1, min(tasks, runs))
    text = script(arguments, tasks=tasks, results=runtime.results, device=runtime.device, threads=runtime.threads)
    write_named(path, text.encode())
    shares = f"{counted(runs, 'run')} for {counted(tasks, 'member')}"
    say(f"Written: {path} ({shares}). Adapt it to your site, then: sbatch {path}")
