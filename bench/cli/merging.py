"""`bench merge`: another results folder's records, with their predictions, taken into this one; nothing is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import StoreError, UsageError
from bench.core.files import atomic, write_bytes, write_out
from bench.core.progress import Report, counted, silent
from bench.core.spec import RunSpec
from bench.execution.outcome import describe_run
from bench.records.store import Store

Keep = Literal["", "mine", "theirs"]


@dataclass
class Merged:
    """The outcome of a merge."""

    taken: int = 0
    same: int = 0
    mine: int = 0
    """Runs that both have, of which ours stayed."""
    theirs: int = 0
    """Runs that both have, of which theirs came in the place of ours."""
    states: int = 0
    mended: int = 0
    """Records here already whose predictions, missing or damaged here, came from there."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Files that were not taken, and why."""

    def sentence(self) -> str:
        """The same in words."""
        said = [f"{counted(self.taken, 'record')} taken", f"{self.same} here already"]
        said += [f"{self.mine} of both kept as here"] if self.mine else []
        said += [f"{self.theirs} of both taken from there (ours are in set_aside/)"] if self.theirs else []
        said += [f"predictions of {self.mended} given back"] if self.mended else []
        said += [f"{counted(self.states, 'trained state')} taken"] if self.states else []
        return f"{', '.join(said)}, {len(self.refused)} refused."


def merge(ours: Store, theirs: Store, *, keep: Keep = "", states: bool = False, report: Report = silent) -> Merged:
    """Take what is sound there into the store here; `keep` decides of runs that both made, differently.

    Records are copied byte for byte, so that each carries its hash on.
    """
    if not theirs.runs.is_dir():
        raise UsageError(f"{theirs.root} holds no runs/: name the results folder itself.")
    if theirs.root.resolve() == ours.root.resolve():
        raise UsageError(f"{theirs.root} is this results folder itself.")
    ours.ready()
    merged, records = Merged(), list(theirs.sound())
    for i, (record, spec) in enumerate(records):
        report(i, len(records), "records looked at")
        try:
            _take(ours, theirs, record, spec, keep, merged)
        except _Refused as refused:
            merged.refused.append((f"{record['key']}.json ({describe_run(spec)})", str(refused)))
    report(len(records), len(records), "records looked at")
    if states:
        merged.states = _take_states(ours, theirs, records)
    _take_splits(ours, theirs)
    merged.refused += [(problem.path.name, problem.why) for problem in theirs.problems]
    return merged


class _Refused(Exception):
    """A record that is not taken."""


def _take(ours: Store, theirs: Store, record: Mapping[str, Any], spec: RunSpec, keep: Keep, merged: Merged) -> None:
    predictions = _sound_predictions(theirs, record)
    own = _own(ours, record["key"])
    if own is not None and own["sha256"] == record["sha256"]:
        merged.same += 1
        merged.mended += _give_back(ours, own, predictions)
        return
    if own is not None and not keep:
        raise _Refused(
            f"both have this run, made differently: here {_origin(own)}, there {_origin(record)}. "
            "--keep mine or --keep theirs decides"
        )
    if own is not None and keep == "mine":
        merged.mine += 1
        return
    body = (theirs.runs / f"{record['key']}.json").read_bytes()
    _put_in_place(ours, record["key"], spec, body, predictions)
    _take_log(ours, theirs, record["key"])
    if own is None:
        merged.taken += 1
    else:
        merged.theirs += 1


def _put_in_place(ours: Store, key: str, spec: RunSpec, record: bytes, predictions: bytes | None) -> None:
    """Put a record and its predictions where ours stand, which are set aside, and what is kept of their training.

    Both are on the disk before ours go, so that a full one costs no run of ours. Ours go before either has its name,
    and the record has it last: at no moment a record stands beside another's predictions.
    """
    path = ours.runs / f"{key}.json"
    with ExitStack() as named_at_the_end:
        files = [(named_at_the_end.enter_context(atomic(path)), record)]
        if predictions is not None:
            files.append((named_at_the_end.enter_context(atomic(path.with_suffix(".npz"))), predictions))
        for handle, data in files:
            handle.write(data)
            write_out(handle)
        if path.exists():
            ours.forget_training(spec)
        ours.set_aside(key)


def _give_back(ours: Store, own: Mapping[str, Any], predictions: bytes | None) -> bool:
    """Put the predictions of a record beside it where ours are missing or damaged."""
    try:
        _sound_predictions(ours, own)
    except _Refused:
        if predictions is not None:
            write_bytes(ours.runs / f"{own['key']}.npz", predictions)
            return True
    return False


def _take_log(ours: Store, theirs: Store, key: str) -> None:
    """Copy the log of a run's steps, where there is one: a record is whole without."""
    with suppress(OSError):
        write_bytes(ours.log_path(key), theirs.log_path(key).read_bytes())


def _own(ours: Store, key: str) -> dict[str, Any] | None:
    """Our record of a run; none where there is no sound one."""
    path = ours.runs / f"{key}.json"
    try:
        return ours.read(path) if path.exists() else None
    except StoreError:
        return None


def _sound_predictions(theirs: Store, record: Mapping[str, Any]) -> bytes | None:
    """The bytes of a record's predictions, as its hash has them; none where it says that it has none."""
    if "predictions_sha256" not in record:
        return None
    try:
        data = (theirs.runs / f"{record['key']}.npz").read_bytes()
    except OSError:
        raise _Refused("its predictions are missing") from None
    if hashlib.sha256(data).hexdigest() != record["predictions_sha256"]:
        raise _Refused("its predictions were changed after they were written")
    return data


def _origin(record: Mapping[str, Any]) -> str:
    """Where and when a record was made."""
    run = record.get("run")
    facts = run if isinstance(run, Mapping) else {}
    text = f"{record['status']} on {facts.get('host') or 'an unknown host'}"
    return f"{text}, {facts['finished']}" if facts.get("finished") else text


def _take_states(ours: Store, theirs: Store, records: Sequence[tuple[Mapping[str, Any], RunSpec]]) -> int:
    """Copy trained tensors of which all records that stand here are theirs: others are of another training."""
    known = {record["sha256"] for record, _ in records}
    standing = [(spec, record["sha256"] in known) for record, spec in ours.sound()]
    foreign = {spec.training_key for spec, is_theirs in standing if not is_theirs}
    taken = {spec.training_key: spec for spec, _ in standing if spec.training_key not in foreign}
    return sum(_take_state(ours, theirs, spec) for spec in taken.values())


def _take_state(ours: Store, theirs: Store, spec: RunSpec) -> bool:
    """Copy a run's trained tensors where they are whole and there are none here."""
    from bench.training.states import is_whole

    source, target = theirs.state_path(spec), ours.state_path(spec)
    if target.exists() or not source.exists() or not is_whole(source):
        return False
    write_bytes(target, source.read_bytes())
    return True


def _take_splits(ours: Store, theirs: Store) -> None:
    """Copy the splits of files that their runs used; each is called by its hash."""
    from bench.data.foreign.kept import FOLDER

    for path in sorted((theirs.root / FOLDER).glob("*.csv")):
        target = ours.root / FOLDER / path.name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            write_bytes(target, path.read_bytes())


def other_store(folder: Path) -> Store:
    """A results folder to be read."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    return Store(folder)
