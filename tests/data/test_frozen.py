"""Frozen inputs: computed once, kept safely, and never a reason for a different number."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.core.errors import RunError
from bench.core.spec import Recipe
from bench.data.caches import cache_entries, in_use, limit, remove
from bench.data.dataset import Dataset
from bench.data.frozen.inputs import FrozenInputs
from bench.data.frozen.sheets import CHECKS, CHUNK, VALUES, FileSheet, create_sheet, open_sheet
from bench.data.views.batches import ViewMaker
from bench.data.views.view import Frozen, View
from tests.data.test_batches import MEAN, STD, make_dataset
from tests.methods.vits import small_vit

ROWS = 75  # three chunks, the last one short
FIRST = {"epoch": 0, "number": 0, "training": False}
VIEWS = {"whole": View("resize", 16), "crop": View("crop", 16, flips=True)}


class Network:
    """A small frozen network that counts the pictures it sees."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.GELU(), nn.Flatten(), nn.Linear(128, 24)).eval()
        self.seen = 0

    def __call__(self, pictures: Tensor) -> Tensor:
        self.seen += len(pictures)
        return self.layers(pictures)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("pictures"), ((20, 24),) * ROWS)


Open = Callable[..., tuple[FrozenInputs, Network]]


@pytest.fixture
def opened(dataset: Dataset, tmp_path: Path) -> Open:
    def make(view: str = "whole", keep: bool = True, weights: str = "w1", limit_bytes: int = 1 << 30, **more: object):  # type: ignore[no-untyped-def]
        network = Network()
        maker = ViewMaker(dataset, VIEWS, Recipe(size=16, short_side=0), tmp_path, "cpu", MEAN, STD)
        frozen = {"f": Frozen(view, "net", network, keep)}
        return FrozenInputs(dataset, maker, frozen, weights, tmp_path, limit_bytes, **more), network  # type: ignore[arg-type]

    return make


def sheets(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "frozen").glob("tiny-f-*"))


def test_numbers_are_the_same_with_and_without_cache_whatever_the_split_and_batch(opened: Open) -> None:
    for view, training in (("whole", False), ("crop", True), ("crop", False)):
        ask = {"epoch": 2, "number": 1, "training": training}
        stored = opened(view)[0].get("f", np.arange(ROWS), **ask)
        reread, network = opened(view)
        plain = opened(view, enabled=False)[0]
        order = np.array([70, 3, 40, 3, 9])
        assert torch.equal(reread.get("f", order, **ask), stored[order])
        assert network.seen == 0, "a second run computes nothing"
        assert torch.equal(plain.get("f", order, **ask), stored[order])


def test_values_are_those_of_the_network_to_half_precision(opened: Open) -> None:
    inputs, network = opened()
    got = inputs.get("f", np.arange(CHUNK), **FIRST)
    pictures = inputs.maker.pictures("whole", np.arange(CHUNK), **FIRST)
    with torch.no_grad():
        assert torch.equal(got, network(pictures).half().float())


def test_a_fixed_view_is_computed_once_for_all_epochs_and_numbers(opened: Open, tmp_path: Path) -> None:
    inputs, network = opened()
    for epoch in range(3):
        inputs.get("f", np.arange(ROWS), epoch=epoch, number=epoch, training=True)
    assert network.seen == ROWS + 1  # one picture tells the shape
    assert len(sheets(tmp_path)) == 1


def test_a_random_view_has_one_sheet_per_epoch_and_number_in_training_and_per_number_in_tests(
    opened: Open, tmp_path: Path
) -> None:
    inputs, _ = opened("crop")
    for training, count in ((True, 4), (False, 4 + 2)):
        for epoch, number in ((0, 0), (0, 1), (1, 0), (1, 1)):
            inputs.get("f", np.arange(2), epoch=epoch, number=number, training=training)
        assert len(sheets(tmp_path)) == count


def test_other_weights_and_another_precision_have_their_own_sheets(opened: Open, tmp_path: Path) -> None:
    halved = {"autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16)}
    for changes in ({"weights": "w1"}, {"weights": "w2"}, halved, {"weights": "w1"}):
        opened(**changes)[0].get("f", np.arange(2), **FIRST)
    assert len(sheets(tmp_path)) == 3


@pytest.mark.parametrize("harm", ["flip", "truncate", "checks"])
def test_a_damaged_chunk_is_computed_again_with_a_warning(opened: Open, tmp_path: Path, harm: str) -> None:
    before = opened()[0].get("f", np.arange(ROWS), **FIRST)
    values = sheets(tmp_path)[0] / VALUES
    data = bytearray(values.read_bytes())
    if harm == "flip":
        data[CHUNK * 48 + 5] ^= 4  # in the second chunk
        values.write_bytes(data)
    elif harm == "truncate":
        values.write_bytes(data[: CHUNK * 48 * 2 - 7])
    else:
        (sheets(tmp_path)[0] / CHECKS).write_bytes(np.array([1, 2, 3], dtype=np.uint32).tobytes())
    inputs, network = opened()
    with pytest.warns(UserWarning, match="damaged"):
        again = inputs.get("f", np.arange(ROWS), **FIRST)
    assert torch.equal(before, again)
    assert network.seen == {"flip": CHUNK, "truncate": CHUNK + ROWS - 2 * CHUNK, "checks": ROWS}[harm]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(opened()[0].get("f", np.arange(ROWS), **FIRST), before)


@pytest.mark.parametrize("damage", ["{torn", '{"shape": [25], "check": 1}', "[]"])
def test_an_unreadable_sheet_is_replaced(opened: Open, tmp_path: Path, damage: str) -> None:
    before = opened()[0].get("f", np.arange(ROWS), **FIRST)
    (sheets(tmp_path)[0] / "about.json").write_text(damage)
    assert torch.equal(opened()[0].get("f", np.arange(ROWS), **FIRST), before)
    inputs, network = opened()
    assert torch.equal(inputs.get("f", np.arange(ROWS), **FIRST), before)
    assert network.seen == 0


def test_what_is_not_to_be_kept_is_computed_for_the_batch_and_not_rounded(opened: Open, tmp_path: Path) -> None:
    inputs, network = opened(keep=False)
    got = inputs.get("f", np.array([5, 6]), **FIRST)
    with torch.no_grad():
        assert torch.equal(got, network(inputs.maker.pictures("whole", np.array([5, 6]), **FIRST)))
    assert not sheets(tmp_path)


def test_a_complete_fixed_input_moves_to_the_device_as_a_whole(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = opened()[0].get("f", np.arange(ROWS), **FIRST)
    monkeypatch.setattr("bench.data.frozen.inputs.has_room", lambda *_: True)
    inputs, network = opened()
    order = np.array([70, 3, 40, 3, 9])
    for rows in (order, np.arange(ROWS), order):  # the whole is known to be there only after the second
        assert torch.equal(inputs.get("f", rows, **FIRST), stored[rows])
    assert len(inputs._resident) == 1
    assert network.seen == 0


def test_no_device_but_cuda_copies_behind_memory_that_is_soon_used_again(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, _ = opened()
    inputs.get("f", np.arange(ROWS), **FIRST)
    behind, plain = [], Tensor.to

    def noting(tensor: Tensor, *args: object, **more: object) -> Tensor:
        behind.append(more.get("non_blocking", False))
        return plain(tensor, *args, **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(Tensor, "to", noting)
    inputs.device = inputs.maker.device = torch.device("meta")  # as much a device as MPS, and here
    assert inputs.get("f", np.arange(ROWS), **FIRST).is_meta
    assert inputs.maker.raw("whole", np.arange(4), **FIRST).is_meta
    assert behind
    assert not any(behind)


def test_what_fits_neither_cache_nor_memory_is_computed_for_the_batch(opened: Open, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="cache_limit_gb"):
        got = opened(limit_bytes=1000, memory_bytes=1000)[0].get("f", np.array([5, 60]), **FIRST)
    assert not sheets(tmp_path)
    stored = opened()[0].get("f", np.array([5, 60]), **FIRST)
    torch.testing.assert_close(got, stored, rtol=2**-10, atol=1e-6)


def test_a_full_disk_loses_nothing(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = opened(enabled=False)[0].get("f", np.arange(ROWS), **FIRST)
    real = FileSheet.put

    def full(sheet: FileSheet, chunk: int, values: np.ndarray) -> None:
        if chunk == 1:
            raise OSError(28, "No space left on device")
        real(sheet, chunk, values)

    monkeypatch.setattr(FileSheet, "put", full)
    inputs, _ = opened()
    with pytest.warns(UserWarning, match="No space left"):
        assert torch.equal(inputs.get("f", np.arange(ROWS), **FIRST), expected)
    assert torch.equal(inputs.get("f", np.arange(ROWS), **FIRST), expected)


def test_values_beyond_half_precision_are_an_error(opened: Open) -> None:
    inputs, network = opened()
    network.layers[-1].weight.data.mul_(1e7)
    with pytest.raises(RunError, match="keep=False"):
        inputs.get("f", np.arange(4), **FIRST)


def test_the_least_recently_used_sheet_makes_room_and_one_in_use_never_goes(opened: Open, tmp_path: Path) -> None:
    size = ROWS * 24 * 2
    used = opened(weights="kept")[0]
    used.get("f", np.arange(ROWS), **FIRST)
    opened(weights="old")[0].get("f", np.arange(ROWS), **FIRST)
    (kept, old) = (e for w in ("kept", "old") for e in cache_entries(tmp_path) if _weights(e.path) == w)
    assert kept.in_use
    assert not old.in_use, "the run that made it is over"
    total = sum(entry.bytes for entry in cache_entries(tmp_path))
    fresh = opened(weights="new", limit_bytes=total + size // 2)[0]
    fresh.get("f", np.arange(ROWS), **FIRST)
    assert {_weights(path) for path in sheets(tmp_path)} == {"kept", "new"}


def _weights(path: Path) -> str:
    import json

    about = path / "about.json"
    return str(json.loads(about.read_text())["weights"]) if about.exists() else ""


def test_limit_removes_the_oldest_first_and_never_weights(tmp_path: Path) -> None:
    import os

    for kind, name, age in (("weights", "vit", 900), ("frozen", "b", 500), ("pixels", "a", 700), ("frozen", "c", 100)):
        folder = tmp_path / kind / name
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(bytes(1000))
        os.utime(folder, (1_700_000_000 - age,) * 2)
    assert [entry.name for entry in limit(tmp_path, 2500)] == ["a", "b"]
    assert [entry.name for entry in limit(tmp_path, 0)] == ["c"]
    assert [entry.kind for entry in cache_entries(tmp_path)] == ["weights"]
    remove(cache_entries(tmp_path)[0])
    assert not cache_entries(tmp_path)


def test_the_mark_of_a_dead_process_does_not_count(tmp_path: Path) -> None:
    import socket

    (tmp_path / f"in-use.{socket.gethostname()}.999999999.abc").touch()
    assert not in_use(tmp_path)
    (tmp_path / "in-use.another.host.1.abc").touch()
    assert in_use(tmp_path)


def _fill(folder: str, turn: int) -> None:
    sheet = create_sheet(Path(folder), 64 * CHUNK, (3,), {})
    for chunk in range(64) if turn else range(63, -1, -1):
        sheet.put(chunk, np.full((CHUNK, 3), chunk, dtype=np.float16))


def test_two_processes_may_fill_one_sheet(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_fill, args=(str(tmp_path / "s"), turn)) for turn in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    sheet = open_sheet(tmp_path / "s", 64 * CHUNK)
    assert sheet is not None
    assert sheet.missing(np.arange(64)) == []
    values = sheet.whole()
    assert values is not None
    assert (values.reshape(64, -1) == np.arange(64)[:, None]).all()


def test_machines_of_unlike_kernels_share_a_cache_and_no_vectors(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kernels in ("x86_64 AVX2", "x86_64 AVX512", "x86_64 AVX2"):
        monkeypatch.setattr("bench.core.machine.instruction_set", lambda kernels=kernels: kernels)
        opened()[0].get("f", np.arange(2), **FIRST)
    assert len(sheets(tmp_path)) == 2


def test_an_input_that_a_methods_own_code_computes_goes_by_that_code(opened: Open, tmp_path: Path) -> None:
    for code in ("a", "b", "a"):
        opened(code=code)[0].get("f", np.arange(2), **FIRST)
    assert len(sheets(tmp_path)) == 2


def test_an_input_of_the_harness_alone_is_shared_whatever_a_method_does_beside_it(opened: Open, tmp_path: Path) -> None:
    vit = small_vit(16)

    def made_anew(compute: Callable[[Tensor], Tensor]) -> int:
        before = len(sheets(tmp_path))
        for code in ("a", "b"):
            inputs, _ = opened(code=code, weights=f"w{before}")
            inputs.frozen = {"f": Frozen("whole", "net", compute)}
            inputs.get("f", np.arange(2), **FIRST)
        return len(sheets(tmp_path)) - before

    assert made_anew(vit.tokens) == made_anew(vit.forward) == 1
    assert made_anew(lambda pictures: vit.tokens(pictures)) == 2
    vit.append("blocks.0.ls1", Mine())
    assert made_anew(vit.tokens) == 2


class Mine(nn.Identity):
    """A method's own layer inside the ViT."""


def test_a_raised_number_of_the_harness_computes_anew(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened()[0].get("f", np.arange(2), **FIRST)
    monkeypatch.setattr("bench.data.frozen.inputs.NUMERICS", -1)
    opened()[0].get("f", np.arange(2), **FIRST)
    assert len(sheets(tmp_path)) == 2


class Sums(nn.Module):
    """What half precision cannot hold."""

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.stack([pictures.sum((1, 2, 3)) * 1e6, pictures.mean((1, 2, 3)) / 3], dim=1)


@pytest.mark.parametrize("enabled", [True, False])
def test_an_exact_input_comes_back_in_full_precision(dataset: Dataset, tmp_path: Path, enabled: bool) -> None:
    network = Sums()
    maker = ViewMaker(
        dataset, {"w": View("whole", 16, plain=True)}, Recipe(size=16, short_side=0), tmp_path, "cpu", MEAN, STD
    )
    frozen = {"f": Frozen("w", "sums", network.forward, exact=True)}
    rows = np.array([3, 70, 3])
    for _ in range(2):
        inputs = FrozenInputs(dataset, maker, frozen, "w1", tmp_path, 1 << 30, enabled=enabled)
        found = inputs.get("f", rows, **FIRST)
        wanted = [network(maker.pictures("w", np.array([row]), **FIRST)) for row in rows]
        assert torch.equal(found, torch.cat(wanted))
