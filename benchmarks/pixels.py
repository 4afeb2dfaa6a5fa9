"""The pixel store of 10,000 pictures: crops a second from it, against decoding each time; its building.

    python benchmarks/pixels.py [--images 10000] [--rounds 5] [--threads 2] [--folder FOLDER]

JPEGs of 768 × 1024 (as KonIQ-10k's) are stored at a short side of 384, so at 384 × 512, and cropped to 224. What is
compared goes in alternation, so that a noisy machine meets both; medians are printed, with the extremes.

A virtual machine's host hands out memory page by page at first touch, which can cost a tenth of
decoding. `--warm-memory` touches as much as the store will fill beforehand and gives it back as the store grows, so
that what is measured is the building and not the host.
"""

from __future__ import annotations

import argparse
import io
import mmap
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from bench.core.spec import Recipe
from bench.data.dataset import Dataset
from bench.data.locate import load_dataset
from bench.data.pixels.build import estimate_bytes
from bench.data.pixels.policy import Policy
from bench.data.pixels.store import load_plain, open_store, store_folder
from bench.data.views.batches import ViewMaker
from bench.data.views.view import View
from bench.execution.profiling.ceilings import wait_for

BATCH, SHORT, SIZE = 128, 384, 224
DISTINCT = 32
"""So many different pictures; each is written many times over, which the decoder cannot know."""

AHEAD = 8 << 20
"""So much warm memory is free at any time."""


def make_pictures(folder: Path, count: int) -> None:
    """Smooth shapes with fine texture: JPEGs of about the size of photographs'."""
    folder.mkdir(parents=True)
    random, encoded = np.random.RandomState(0), []
    for _ in range(DISTINCT):
        coarse = Image.fromarray(random.randint(0, 256, (24, 32, 3), dtype=np.uint8)).resize((1024, 768), 3)
        pixels = np.asarray(coarse, dtype=np.int16) + random.normal(0, 6, (768, 1024, 1)).astype(np.int16)
        buffer = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        encoded.append(buffer.getvalue())
    lines = ["image,score"]
    for i in range(count):
        (folder / f"i{i:06d}.jpg").write_bytes(encoded[i % DISTINCT])
        lines.append(f"i{i:06d}.jpg,{i % 97}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def spread(name: str, values: list[float], unit: str = "") -> str:
    """A median and its extremes in one line."""
    return f"{name}: {median(values):,.4g}{unit} ({min(values):,.4g} to {max(values):,.4g})"


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def crop_rates(maker: ViewMaker, rounds: int) -> dict[str, list[float]]:
    """Random crops a second over the whole set, with and without flips drawn, as bytes and as normalised floats."""
    count = len(maker.dataset)
    ways: dict[str, Callable[..., object]] = {"uint8": maker.raw, "float32": maker.pictures}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    order = np.random.RandomState(1).permutation(count)
    for turn in range(rounds):
        for name, make in ways.items():

            def epoch(make: Callable[..., object] = make, turn: int = turn) -> None:
                for at in range(0, count, BATCH):
                    make("crop", order[at : at + BATCH], epoch=turn, number=0, training=True)
                wait_for(maker.device)

            rates[name].append(count / seconds(epoch))
    return rates


def decode_rate(dataset: Dataset, policy: Policy, threads: int, count: int) -> float:
    """Pictures a second opened, decoded, resized and cropped, on as many threads."""
    paths = dataset.paths()[:count]

    def one(path: Path) -> np.ndarray:
        pixels = load_plain(path, policy, dataset.name)
        return pixels[80 : 80 + SIZE, 100 : 100 + SIZE].copy()

    def all_of_them() -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(one, paths):
                pass

    return len(paths) / seconds(all_of_them)


class WarmMemory:
    """Memory that the machine has been given already, to be handed back piece by piece."""

    PIECE = 2 << 20

    def __init__(self, size: int) -> None:
        self.size, self.given = -(-size // self.PIECE) * self.PIECE, 0
        self.held = mmap.mmap(-1, self.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        filling = b"\1" * self.PIECE
        for at in range(0, self.size, self.PIECE):
            self.held[at : at + self.PIECE] = filling

    def give_back(self, total: int) -> None:
        """Have so much of it given back altogether."""
        until = min(self.size, total) // self.PIECE * self.PIECE
        if until > self.given:
            self.held.madvise(mmap.MADV_DONTNEED, self.given, until - self.given)
            self.given = until


class Alternating:
    """Building a store and decoding alone in turn, a thousand pictures each, so that both meet the same machine."""

    def __init__(
        self, dataset: Dataset, policy: Policy, cache: Path, threads: int, *, warm: bool, turn: int = 1000
    ) -> None:
        self.dataset, self.policy, self.threads, self.turn = dataset, policy, threads, min(turn, len(dataset))
        self.bytes = estimate_bytes(dataset, policy) if warm else 0
        self.memory = WarmMemory(self.bytes + AHEAD) if warm else None
        self.built: list[float] = []
        self.decoded: list[float] = []
        shutil.rmtree(store_folder(dataset, policy, cache), ignore_errors=True)
        self.began = time.perf_counter()
        open_store(dataset, policy, cache, workers=threads, progress=self._heard)
        self.rest = time.perf_counter() - self.began

    def _heard(self, done: int, _total: int, _what: str) -> None:
        """Hold the building up after each turn, and decode as many pictures."""
        if self.memory is not None:
            self.memory.give_back(self.bytes * done // len(self.dataset) + AHEAD)
        if done and done % self.turn == 0:
            self.built.append(self.turn / (time.perf_counter() - self.began))
            self.decoded.append(decode_rate(self.dataset, self.policy, self.threads, self.turn))
            self.began = time.perf_counter()

    def overall(self) -> float:
        """Building's pictures a second against decoding's, the end of the building (its last flush) included."""
        building = sum(self.turn / rate for rate in self.built) + self.rest
        return sum(self.turn / rate for rate in self.decoded) / building


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warm-memory", action="store_true")
    parser.add_argument("--folder", type=Path, help="Kept, so that a second call finds the pictures.")
    wish = parser.parse_args()
    torch.set_num_threads(wish.threads)
    home = wish.folder or Path(tempfile.mkdtemp())
    if not (home / "many").exists():
        make_pictures(home / "many", wish.images)
    data = {"many": {"loader": "folder", "path": str(home / "many"), "csv": "labels.csv"}}
    dataset, policy = load_dataset("many", data, home / "cache"), Policy(short_side=SHORT)
    found = Alternating(dataset, policy, home / "cache", wish.threads, warm=wish.warm_memory)
    decoded = found.decoded
    print(spread("decoding, resizing, cropping each time", decoded, " pictures/s"))
    print(spread("building the store", found.built, " pictures/s"))
    print(spread("building / decoding, by turns", [b / d for b, d in zip(found.built, decoded, strict=True)]))
    print(f"building / decoding, all of it: {found.overall():.3f}")
    for flips in (True, False):
        view = View("crop", SIZE, flips=flips)
        recipe = Recipe(short_side=SHORT, size=SIZE)
        maker = ViewMaker(dataset, {"crop": view}, recipe, home / "cache", "cpu", (0.5,) * 3, (0.5,) * 3)
        crop_rates(maker, 1)  # checks every picture once, and warms
        for name, rates in crop_rates(maker, wish.rounds).items():
            print(spread(f"{name} crops, {'flipped at random' if flips else 'no flips'}", rates, " crops/s"))
            print(spread("  against decoding each time", [r / median(decoded) for r in rates], " ×"))
    if wish.folder is None:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
