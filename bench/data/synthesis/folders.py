"""Generated folders that are whole or absent: built beside their place, hashed, synced, renamed, verified."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import DataError
from bench.core.files import sha256_of

MANIFEST = "manifest.json"

_ABANDONED = 3600.0
"""Seconds after which an unfinished folder of a killed process is swept away."""


class ContentHash:
    """sha256 over pixels and labels: the same whichever library wrote the png files."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def pixels(self, name: str, pixels: np.ndarray) -> None:
        """Add one picture."""
        self._digest.update(f"{name} {pixels.shape}\n".encode())
        self._digest.update(np.ascontiguousarray(pixels).tobytes())

    def text(self, text: str) -> None:
        """Add the labels."""
        self._digest.update(text.encode())

    def hex(self) -> str:
        """The hash of all that was added."""
        return self._digest.hexdigest()


def publish(target: Path, build: Callable[[Path], str], recipe: dict[str, Any], *, heal: bool = True) -> str:
    """Let `build` fill a folder and return its content hash, then put the folder at `target` in one step.

    Two processes may do this at once: the second finds the first one's folder in place and discards its own.
    A folder that is there but damaged or of other content is replaced; one that we did not make, or that somebody
    has put a file into, is refused. So is one of which somebody has changed a file, unless it is to `heal`.
    """
    target = Path(target)
    if target.exists():
        _refuse_what_is_not_ours(target)
        if not heal:
            _refuse_changed(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".building", dir=target.parent))
    except OSError as error:
        raise DataError(f"cannot write beside {target}: {error.strerror or error}") from error
    try:
        content = build(scratch)
        _write_manifest(scratch, content, recipe)
        _sync(scratch)
        scratch.chmod(0o755)
        return _place(scratch, target, content, recipe)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def verified(target: Path, recipe: dict[str, Any]) -> str | None:
    """The content hash of a folder that is whole and of this recipe; None where it is absent or damaged."""
    manifest = _manifest(target)
    if manifest is None or manifest.get("recipe") != json.loads(json.dumps(recipe)):
        return None
    files = manifest.get("files", {})
    try:
        if not files or any(sha256_of(target / name) != expected for name, expected in files.items()):
            return None
    except OSError:
        return None
    return str(manifest["content"])


def _place(scratch: Path, target: Path, content: str, recipe: dict[str, Any]) -> str:
    for _ in range(5):
        standing = verified(target, recipe)
        if standing == content:
            return content
        if target.exists():
            _refuse_strangers(target, {*_files_in(scratch), *_listed(target)})
            _retire(target)
        try:
            scratch.rename(target)
        except OSError:  # another process was faster: look again
            continue
        _sync_one(target.parent)
        return content
    raise DataError(f"cannot put the finished folder at {target}: something keeps appearing there")


def _retire(target: Path) -> None:
    """Move a damaged folder out of the way, then delete it."""
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".damaged", dir=target.parent))
    try:
        target.rename(aside / "old")
    except FileNotFoundError:
        pass  # another process has just done the same
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def made_here(folder: Path) -> bool:
    """Whether a folder holds a manifest of ours that can be read."""
    return bool(_listed(folder))


def is_as_made(file: Path) -> bool:
    """Whether a file is one of a folder made here and holds what it held then."""
    return file.name in (listed := _listed(file.parent)) and sha256_of(file) == listed[file.name]


def _refuse_what_is_not_ours(target: Path) -> None:
    """Refuse to replace a folder without a manifest, or with files that a readable one does not list."""
    if not target.is_dir() or (any(target.iterdir()) and not (target / MANIFEST).exists()):
        raise DataError(f"{target} exists and is not a dataset made here; remove it or choose another folder")
    if listed := _listed(target):
        _refuse_strangers(target, set(listed))


def _refuse_strangers(target: Path, ours: set[str]) -> None:
    """Refuse to delete a folder in which there is more than we made."""
    strangers = sorted(_files_in(target) - ours - {MANIFEST})
    if strangers:
        more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
        raise DataError(
            f"{target} would be replaced, but {strangers[0]}{more} in it was not made here; "
            "move it away or choose another folder"
        )


def _refuse_changed(target: Path) -> None:
    """Refuse to replace a file that holds something else than it was made with: it may be somebody's work."""
    changed = []
    for name, made in _listed(target).items():
        with suppress(OSError):  # what is missing is no work to lose
            changed += [name] * (sha256_of(target / name) != made)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise DataError(
            f"{target} would be replaced, but {changed[0]}{more} in it was changed since it was made; "
            "move it away or choose another folder"
        )


def _listed(folder: Path) -> dict[str, str]:
    """The files that a folder's manifest names, and their hashes; none where it has no manifest of ours."""
    files = (_manifest(folder) or {}).get("files")
    return files if isinstance(files, dict) else {}


def _files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "content" in content else None


def _write_manifest(folder: Path, content: str, recipe: dict[str, Any]) -> None:
    files = {name: sha256_of(folder / name) for name in sorted(_files_in(folder))}
    record = {"content": content, "recipe": recipe, "files": files}
    (folder / MANIFEST).write_text(json.dumps(record, indent=1), encoding="utf-8")


def _sync(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows has no way to open a folder
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(target: Path) -> None:
    for leftover in target.parent.glob(f".{target.name}.*"):
        if leftover.suffix in (".building", ".damaged") and time.time() - leftover.stat().st_mtime > _ABANDONED:
            shutil.rmtree(leftover, ignore_errors=True)
