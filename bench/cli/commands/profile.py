"""The profile command: what each method costs on this machine. Parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import Device, Plugin, ResultsFolder
from bench.cli.console import friendly, grid, note, say


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(profile)


@friendly
def profile(
    methods: Annotated[Optional[list[str]], typer.Argument(help="Methods; all with a fixed size if none.")] = None,
    backbone: Annotated[str, typer.Option("--backbone", help="A timm ViT by name.")] = "vit_base_patch16_224",
    weights: Annotated[str, typer.Option("--weights", help="random or pretrained; speed is the same.")] = "random",
    batch: Annotated[int, typer.Option("--batch", min=2, help="Images a training step.")] = 8,
    size: Annotated[int, typer.Option("--size", min=1, help="Pixels a side.")] = 224,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Training steps to measure.")] = 5,
    device: Device = None,
    precision: Annotated[str, typer.Option("--precision", help="fp32 or bf16.")] = "fp32",
    threads: Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0: torch's choice.")] = 0,
    compile_steps: Annotated[
        Optional[bool], typer.Option("--compile/--no-compile", help="Training steps through torch.compile.")
    ] = None,
    dataset: Annotated[
        Optional[list[str]], typer.Option("--dataset", "-d", help="Pictures of this set; synthetic ones if not given.")
    ] = None,
    settings: Annotated[
        Optional[list[str]], typer.Option("--set", help="KEY=VALUE or METHOD.KEY=VALUE of the methods.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the files written.")] = "profile",
    against: Annotated[
        Optional[Path], typer.Option("--against", help="An earlier profile: print ratios, exit 1 on regressions.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="How much worse is still no regression.")
    ] = 0.1,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Measure each method the same way. Work, speed, where a step's time goes, memory, share of the machine."""
    from bench.cli.config import file_settings
    from bench.cli.invocation import configure, one_set, runtime_of
    from bench.core.errors import UsageError
    from bench.core.progress import Display
    from bench.execution.profiling.measure import Setting
    from bench.execution.profiling.processes import profile_methods
    from bench.execution.profiling.report import (
        LEGEND,
        SPEED_HEADER,
        WORK_HEADER,
        limit_line,
        read_report,
        speed_rows,
        work_rows,
        write_report,
    )
    from bench.report.profile import draw_profile

    config = configure(plugin, device=device, results=results, compile=compile_steps)
    path = Path(config["results"]) / "profiles" / f"{name}.json"
    if against and against.resolve() == path.resolve():
        raise UsageError(f"--against {against} is the file that this profile is written to: give it another --name.")
    before = read_report(against) if against else None
    setting = Setting(backbone, weights, batch, size, precision, steps, one_set(dataset, "bench profile"))
    runtime = runtime_of(config, plugin, **({"threads": threads} if threads else {}))
    with Display() as display:
        own = file_settings(config).methods
        ask = (methods or [], settings or [], setting, runtime, display.report, own, display.line)
        report, failed = profile_methods(*ask)
    grid(WORK_HEADER, work_rows(report))
    grid(SPEED_HEADER, speed_rows(report))
    say(limit_line(report))
    for line in LEGEND:
        say(line)
    write_report(report, path)
    for written in (path, *draw_profile(report, path.with_suffix(""))):
        note(f"Written: {written}")
    for method, why in failed.items():
        note(f"Not measured: {method} ({why})")
    worse = _print_changes(report, before, tolerance) if before is not None else 0
    if worse or failed:
        raise typer.Exit(1)


def _print_changes(report: dict[str, object], before: dict[str, object], tolerance: float) -> int:
    from bench.execution.profiling.report import compare_reports

    changes = compare_reports(report, before, tolerance)
    rows = [
        (c.method, c.what, f"{c.before:.4g}", f"{c.now:.4g}", f"{c.ratio:.3f}", "WORSE" if c.worse else "")
        for c in changes
    ]
    grid(("method", "what", "before", "now", "now / before", ""), rows)
    worse = sum(c.worse for c in changes)
    say(f"{worse} of {len(changes)} numbers are worse by more than {tolerance:.0%}.")
    return 1 if worse else 0
