"""What is said of a results folder before it is used: files that are not read, runs that other code made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli.console import note
from bench.core.code import told_apart
from bench.core.progress import counted
from bench.records.store import Store

if TYPE_CHECKING:
    from bench.records.results import Results


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
    unchanged = f"{'it stays' if one else 'they stay'} (--overwrite never)"
    again = "it is repeated, the old record is put aside" if one else ""
    again = again or "they are repeated, the old records are put aside"
    note(f"{told_apart(store.made_by)}: {unchanged if overwrite == 'never' else again}.")
