"""What the stores and caches save in the demo's two commands: wall-clock seconds with and without them.

    python benchmarks/demo.py [--rounds 2] [--folder FOLDER]

Without: every picture is decoded and resized each time a view of it is taken, and every frozen input (GLIA's F_s, the
linear probe's features) is computed each time it is asked for. With: as `make demo` does it, beginning with empty
stores and caches. Weights and demo sets are there in both; the two go in alternation.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from torch import Tensor

COMMANDS = (
    ("run", "--method", "glia,linear_probe", "--protocol", "cross", "--preset", "demo"),
    ("table", "cross"),
)


def without_stores() -> None:
    """Make this process decode and compute everything each time."""
    from bench.data.frozen.inputs import FrozenInputs
    from bench.data.pixels.policy import load_plain
    from bench.data.views.batches import ViewMaker, policy_of

    gather = ViewMaker.raw

    def raw(self: ViewMaker, name: str, rows: np.ndarray, **which: Any) -> Tensor:
        paths, policy = self.dataset.paths(), policy_of(self.views[name], self.recipe)
        for row in rows:
            load_plain(paths[row], policy, self.dataset.name)
        return gather(self, name, rows, **which)

    ViewMaker.raw = raw  # type: ignore[method-assign]
    FrozenInputs._sheet = lambda *_: None  # type: ignore[assignment,method-assign,return-value]


def one_side(words: list[str], naive: bool) -> None:
    """One command, as the installed `bench` runs it."""
    from bench.cli import app

    if naive:
        without_stores()
    app(words)


def two_commands(folder: Path, naive: bool) -> float:
    """Seconds of the two commands from empty stores and caches."""
    for name in ("results", "cache/pixels", "cache/frozen"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "bench.toml").write_text(f'[run]\ncache = "{folder / "cache"}"\n')
    begin = time.perf_counter()
    for words in COMMANDS:
        side = ["--naive"] if naive else []
        command = [sys.executable, str(Path(__file__).resolve()), *side, "--", *words]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="Kept, with weights and demo sets for a second call.")
    parser.add_argument("--naive", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if wish.words:
        one_side(wish.words, wish.naive)
        return
    folder = (wish.folder or Path(tempfile.mkdtemp())).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "cache" / "weights").exists():
        two_commands(folder, naive=False)  # makes the sets, fetches the weights
    after, before = [], []
    for _ in range(wish.rounds):
        before.append(two_commands(folder, naive=True))
        after.append(two_commands(folder, naive=False))
    for what, seconds in (("without stores and caches", before), ("with them, from empty", after)):
        print(f"{what}: {median(seconds):.0f} s ({min(seconds):.0f} to {max(seconds):.0f})")
    print(f"ratio: {median(after) / median(before):.2f}")
    if wish.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
