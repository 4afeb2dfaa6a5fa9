"""Records on disk: one JSON file per run, its predictions beside it; whole or absent, never silently replaced."""

from __future__ import annotations

import filecmp
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.claims import Claims
from bench.core.code import made_by_other_code, stands_on_older
from bench.core.errors import StoreError, UsageError
from bench.core.files import explain, link_or_copy, sweep, write_bytes, write_text
from bench.core.numbers import meaningful
from bench.core.spec import SCHEMA, RunSpec, key_of
from bench.records.earlier import earlier_key, spec_of
from bench.records.steps import LOG, Line, read_steps

if TYPE_CHECKING:
    import numpy as np


ABOUT_CODE = ("key", "sha256", "status", "spec", "code", "members", "made_of")
"""What of a record says by which code it was made, itself and what it stands on."""


@dataclass(frozen=True)
class Problem:
    """A file in the results folder that is not used, and why."""

    path: Path
    why: str


@dataclass(frozen=True)
class Known:
    """What a sound record answers for, and which other code than today's it was made by ("" for today's)."""

    spec: RunSpec
    status: str
    other_code: str


@dataclass
class Store:
    """The results folder of a bench: runs/, states/, claims/, checkpoints/, tables/, figures/, set_aside/."""

    root: Path
    problems: list[Problem] = field(default_factory=list)
    made_by: list[str] = field(default_factory=list)
    """Of the wanted runs that `pending` was last asked about: whose other code made those that today's did not."""

    @property
    def runs(self) -> Path:
        """Where the records lie."""
        return self.root / "runs"

    @cached_property
    def claims(self) -> Claims:
        """Who is working on what; one observer, for it must remember which claims have fallen silent."""
        return Claims(self.root / "claims")

    def state_path(self, spec: RunSpec) -> Path:
        """Where the trained tensors of a run are kept."""
        return self.root / "states" / f"{spec.training_key}.safetensors"

    def checkpoint_path(self, spec: RunSpec) -> Path:
        """Where an unfinished run is kept."""
        return self.root / "checkpoints" / f"{spec.training_key}.safetensors"

    def log_path(self, key: str) -> Path:
        """Where the log of a run's steps lies, beside its record."""
        return self.runs / f"{key}{LOG}"

    def training_log(self, spec: RunSpec) -> Path:
        """Where a training writes that log; it stays there as long as its tensors, for the records of further tests."""
        return self.root / "states" / f"{spec.training_key}{LOG}"

    def steps(self, key: str) -> list[Line]:
        """The log of a run's training steps; nothing where none was kept."""
        return read_steps(self.log_path(key))

    def _put_beside(self, log: Path, key: str) -> None:
        """Put the log of a training beside the record that is made of it. Without it a record is whole, too."""
        with suppress(OSError):
            if log.exists():
                link_or_copy(log, self.log_path(key))

    def drop_training_log(self, spec: RunSpec) -> None:
        """Where no tensors of a training are kept, no further record will be made of it, or need its log."""
        if not self.state_path(spec).exists():
            self.training_log(spec).unlink(missing_ok=True)

    def progress_mark(self, spec: RunSpec) -> str:
        """Changes whenever an unfinished run has got further: its checkpoint or its trained tensors are newer."""
        marks = []
        for path in (self.checkpoint_path(spec), self.state_path(spec)):
            with suppress(OSError):
                marks.append(str(path.stat().st_mtime_ns))
        return "/".join(marks)

    def ready(self) -> None:
        """Make the folder, or say in a line why results cannot be written here; what killed writers left goes."""
        probe = self.root / ".writable"
        try:
            write_text(probe, "")
        except StoreError as error:
            raise StoreError(f"{error} --results DIR names another folder.") from error
        probe.unlink(missing_ok=True)
        for folder in (self.root, *(path for path in self.root.iterdir() if path.is_dir())):
            sweep(folder)
        self._sweep_logs()

    def _sweep_logs(self) -> None:
        """Remove the logs of records that somebody has removed; not those that a living process is about to record."""
        names = {entry.name for entry in os.scandir(self.runs)} if self.runs.is_dir() else set()
        keys = {name.removesuffix(LOG) for name in names if name.endswith(LOG)}
        lonely = [key for key in sorted(keys) if f"{key}.json" not in names]
        held = {facts.get("run") for facts in self.claims.held().values()} if lonely else set()
        for key in lonely:
            if key not in held and not (self.runs / f"{key}.json").exists():
                self.log_path(key).unlink(missing_ok=True)

    def write(
        self,
        record: Mapping[str, Any],
        predictions: Mapping[str, np.ndarray] | None = None,
        log: Path | None = None,
    ) -> Path:
        """Write one run's record; its predictions and its log first, so that a record never lacks them.

        What stood under its name is put aside, sound or not, unless it is the very same. It is gone before the first of
        its successors is written: whoever is killed then leaves no record rather than one beside other predictions.
        """
        body = {k: v if k == "spec" else meaningful(v) for k, v in record.items() if k != "sha256"}
        path, data = self.runs / f"{record['key']}.json", _npz(predictions) if predictions else b""
        if data:
            body["predictions_sha256"] = hashlib.sha256(data).hexdigest()
        body["sha256"] = record_hash(body)
        text = record_text(body)
        if path.exists() and path.read_bytes() != text.encode():
            self.set_aside(record["key"])
        if data:
            write_bytes(path.with_suffix(".npz"), data)
        if log is not None:
            self._put_beside(log, record["key"])
        write_text(path, text)
        if not data:  # of one who was killed before his record was written
            path.with_suffix(".npz").unlink(missing_ok=True)
        return path

    def put_aside(self, first: Path, *others: Path, within: str = "") -> None:
        """Keep files that are about to go in set_aside/, under a number that no other file there has.

        They stand where they stood, too. What was kept already (its writer was killed before it wrote) is not kept
        twice.
        """
        folder = self.root / "set_aside" / within
        number = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            while not _linked(first, folder / f"{first.stem}.{number}{first.suffix}"):
                number += 1
            for path in others:
                with suppress(FileNotFoundError, FileExistsError):
                    os.link(path, folder / f"{first.stem}.{number}{path.name.removeprefix(first.stem)}")
        except OSError as error:
            raise explain(error, folder) from error

    def forget_training(self, spec: RunSpec) -> None:
        """Put aside what is kept of a training, finished or not, so that it begins anew."""
        for path in (self.state_path(spec), self.checkpoint_path(spec), self.training_log(spec)):
            if path.exists():
                self.put_aside(path, within=path.parent.name)
                path.unlink(missing_ok=True)

    def set_aside(self, key: str) -> None:
        """Keep a run's record and predictions elsewhere, so that their place can be taken; the record goes first."""
        record, *others = self.runs / f"{key}.json", self.runs / f"{key}.npz", self.log_path(key)
        self.put_aside(record, *others)
        for path in (record, *others):
            path.unlink(missing_ok=True)

    def read(self, path: Path) -> dict[str, Any]:
        """One record, checked; anything doubtful is a StoreError that says what."""
        return _checked(path, path.stem, Specs())[0]

    def records(self) -> Iterator[dict[str, Any]]:
        """Every sound record, sorted by name; the others go to `problems` and are left where they are."""
        return (record for record, _ in self.sound())

    def sound(self) -> Iterator[tuple[dict[str, Any], RunSpec]]:
        """Every sound record with its spec, as `records` does."""
        self.problems, specs = [], Specs()
        paths = {entry.name: entry.path for entry in os.scandir(self.runs)} if self.runs.is_dir() else {}
        for name in sorted(paths):
            stem, _, kind = name.rpartition(".")
            if name.startswith(".") or name.endswith(LOG) or (kind == "npz" and f"{stem}.json" in paths):
                continue
            try:
                if kind != "json":
                    raise StoreError("is not a record")
                yield _checked(paths[name], stem, specs)
            except StoreError as error:
                self.problems.append(Problem(self.runs / name, str(error)))

    def predictions(self, key: str) -> dict[str, np.ndarray]:
        """The stored predictions of a run, "target/field" to array."""
        import numpy as np

        path = self.runs / f"{key}.npz"
        try:
            with np.load(path, allow_pickle=False) as data:
                return {name: data[name] for name in data.files}
        except Exception as error:  # of the system, of numpy, and zipfile's and zlib's own on damaged archives
            why = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
            raise StoreError(
                f"The predictions {path} cannot be read ({why}): remove {key}.json, and `bench run` repeats that run."
            ) from error

    def index(self) -> dict[str, list[Known]]:
        """training key → what every sound record of it answers for."""
        seen = [(spec, {name: record.get(name) for name in ABOUT_CODE}) for record, spec in self.sound()]
        find = {str(record["key"]): record for _, record in seen}.get
        by_training: dict[str, list[Known]] = {}
        for spec, record in seen:
            other = made_by_other_code(record) or stands_on_older(record, find)
            by_training.setdefault(spec.training_key, []).append(Known(spec, str(record["status"]), other))
        return by_training

    def pending(self, specs: Iterable[RunSpec], overwrite: str = "changed") -> list[RunSpec]:
        """The wanted runs that must be made; `made_by` then says whose other code has made some of the wanted.

        never: those without any record. changed: those without one by today's code. failed: those, too, that today's
        code has failed in. always: all.
        """
        pending, self.made_by = [], []
        index = self.index()
        for spec in specs:
            covering = _covering(index, spec)
            if covering and all(known.other_code for known in covering):
                self.made_by.append(covering[0].other_code)
            if not _answered(covering, overwrite):
                pending.append(spec)
        return pending

    def failed(self, specs: Iterable[RunSpec]) -> list[RunSpec]:
        """The runs that have failed: there are records of them, by today's code where any is, and none is done."""
        index, failed = self.index(), []
        for spec in specs:
            covering = _covering(index, spec)
            todays = [known for known in covering if not known.other_code] or covering
            if todays and all(known.status == "failed" for known in todays):
                failed.append(spec)
        return failed


class Specs:
    """The specs of many records: of thousands that differ in their split only, one is parsed and checked."""

    def __init__(self) -> None:
        self._known: dict[bytes, RunSpec] = {}

    def read(self, record: Mapping[str, Any], text: bytes | None) -> tuple[RunSpec, str]:
        """A record's spec, and the name that the record must have for it; `text` is its file."""
        plain = record["spec"]
        if record["schema"] != SCHEMA:
            return spec_of(record), earlier_key(plain)
        beside_split = _beside_split(text) if text is not None else b""
        known = self._known.get(beside_split)
        split = plain.get("split") if isinstance(plain, dict) else None
        if known is None or type(split) is not int:
            known = RunSpec.from_dict(plain)
            if beside_split:
                self._known[beside_split] = known
            return known, known.key
        return replace(known, split=split), key_of(known.beside_split, split)


def _beside_split(text: bytes) -> bytes:
    """A record's spec as it stands in its file, without the split's line; nothing where it stands otherwise."""
    begin = text.rfind(b'\n "spec": {\n')
    end = text.find(b"\n }", begin)
    split = text.find(b'\n  "split": ', begin, end)
    return text[begin:split] + text[text.find(b"\n", split + 1) : end] if 0 <= begin < split < end else b""


def _checked(path: Path | str, name: str, specs: Specs) -> tuple[dict[str, Any], RunSpec]:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (a Path each would cost as much as the reading)
            text = file.read()
        record = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"is not readable JSON ({error})") from error
    return record, check_record(record, name, text, specs)


def _covering(index: Mapping[str, list[Known]], spec: RunSpec) -> list[Known]:
    """The records that answer for a run."""
    return [known for known in index.get(spec.training_key, []) if known.spec.covers(spec)]


def _answered(covering: list[Known], overwrite: str) -> bool:
    if overwrite == "always":
        return False
    if overwrite == "never":
        return bool(covering)
    statuses = {known.status for known in covering if not known.other_code}
    return "done" in statuses or (overwrite == "changed" and "failed" in statuses)


def _linked(path: Path, name: Path) -> bool:
    """Link a file to a name that must be free, or of the very same file; False where it is another's."""
    try:
        os.link(path, name)
    except FileExistsError:
        return filecmp.cmp(path, name, shallow=False)
    except FileNotFoundError:  # it went in this moment: its successor is another's
        return True
    return True


def record_hash(record: Mapping[str, Any]) -> str:
    """The hash that shows whether a record was edited by hand: of its file without the hash's own line."""
    return hashlib.sha256(record_text({k: v for k, v in record.items() if k != "sha256"}).encode()).hexdigest()


def _hash_of_file(text: bytes) -> str:
    """The same from the file's bytes, which costs a hundredth of writing thousands of records out again."""
    begin = text.find(b'\n "sha256": ') + 1
    return hashlib.sha256(text[:begin] + text[text.find(b"\n", begin) + 1 :]).hexdigest()


def record_text(record: Mapping[str, Any]) -> str:
    """A record as it stands in its file."""
    return json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"


def check_record(record: Any, name: str, text: bytes | None = None, specs: Specs | None = None) -> RunSpec:
    """The spec of a record that is whole, of no newer schema, unedited and rightly named; else a StoreError.

    `text` is the file it was read from; without it the record's own text is made.
    """
    if not isinstance(record, dict) or "schema" not in record or "spec" not in record:
        raise StoreError("is not a record of this harness")
    if not isinstance(record["schema"], int) or record["schema"] > SCHEMA:
        raise StoreError(f"has schema {record['schema']}, newer than {SCHEMA}: update glia-bench to read it")
    try:
        if record.get("sha256") != (record_hash(record) if text is None else _hash_of_file(text)):
            raise StoreError("was changed after it was written (its hash no longer fits)")
        spec, key = (specs or Specs()).read(record, text)
    except (UsageError, ValueError, TypeError) as error:
        raise StoreError(f"holds a spec that cannot be read: {error}") from error
    if key != record.get("key") or name != record["key"]:
        raise StoreError("has a name that does not fit its spec")
    if record.get("status") not in ("done", "failed"):
        raise StoreError("has no known status")
    return spec


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A compressed npz whose bytes depend on its contents only (numpy would stamp the time)."""
    import zipfile

    import numpy as np

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(arrays[name]), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    return buffer.getvalue()
