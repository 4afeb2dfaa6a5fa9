"""What `bench data check` prints of its reports, and what follows for the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.cli.console import grid, say

if TYPE_CHECKING:
    from bench.data.obtain.check import CheckReport


def print_check(reports: Sequence[CheckReport], absent: Sequence[str], root: object) -> int:
    """A row for each set that was looked at, what was found below it, and one line for the sets that are not here."""
    if reports:
        grid(("set", "images", "labels", "contents", "scores", "finding"), [_row(report) for report in reports])
    for report in reports:
        for line in report.lines():
            say(f"{report.name}: {line}")
    if any(report.verdict == "labels sound" for report in reports):
        say("labels sound: the pictures' heads were read, not decoded (--deep decodes every picture).")
    if absent:
        where = f"not below {root}" if root else "not configured"
        say(f"{where}: {', '.join(absent)} (`bench data check NAME` says how to get one).")
    return 0 if reports and all(report.ok for report in reports) else 1


def _row(report: CheckReport) -> tuple[str, ...]:
    grouped = report.label_rows and (report.groups_found or report.groups_expected)
    low, high = report.range_found or (0.0, 0.0)
    return (
        report.name,
        _share(report.images_found, report.images_expected) if report.label_rows else "-",
        str(report.label_rows or "-"),
        _share(report.groups_found, report.groups_expected) if grouped else "-",
        f"{low:g} to {high:g}" if report.range_found else "-",
        report.verdict,
    )


def _share(number: int, expected: int) -> str:
    return f"{number} of {expected}" if expected and number != expected else str(number)
