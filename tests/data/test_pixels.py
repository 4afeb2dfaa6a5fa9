"""The pixel store: the plain path's pixels, whatever happens to builders, readers and files."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import time
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import BenchError, DataError, UsageError
from bench.data.caches import Entry, cache_entries, limit
from bench.data.dataset import Dataset
from bench.data.pixels import build as building
from bench.data.pixels import store as pixels
from bench.data.pixels.build import JOURNAL, estimate_bytes
from bench.data.pixels.index import INDEX, PIXELS
from bench.data.pixels.policy import MAX_ASPECT, Policy, load_plain
from bench.data.pixels.store import PixelStore, open_store, store_folder
from tests.data.test_batches import SIZES, make_dataset

SHORT = Policy(short_side=24)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "pictures")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def stores(cache: Path) -> list[Entry]:
    return [entry for entry in cache_entries(cache) if entry.kind == "pixels"]


def assert_whole(store: PixelStore, dataset: Dataset) -> None:
    for row, path in enumerate(dataset.paths()):
        np.testing.assert_array_equal(store.image(row), load_plain(path, store.policy))


@pytest.mark.parametrize(
    "policy",
    [Policy(), SHORT, Policy(square=20), Policy(short_side=50, interpolation="bilinear"), Policy(min_side=32)],
)
def test_the_store_holds_exactly_the_pixels_of_the_plain_path(dataset: Dataset, cache: Path, policy: Policy) -> None:
    store = open_store(dataset, policy, cache)
    assert_whole(store, dataset)
    assert_whole(open_store(dataset, policy, cache), dataset)


def test_the_plain_path_is_one_antialiased_pillow_resize_to_the_short_side(dataset: Dataset) -> None:
    for path, (height, width) in zip(dataset.paths(), SIZES, strict=True):
        if max(height, width) > MAX_ASPECT * min(height, width):
            continue
        long = int(24 * max(height, width) / min(height, width))
        size = (long, 24) if height <= width else (24, long)
        expected = np.asarray(Image.open(path).resize(size, Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(load_plain(path, SHORT), expected)


def test_jpegs_with_an_orientation_are_stored_upright(tmp_path: Path, cache: Path) -> None:
    dataset = make_dataset(tmp_path / "p", ((30, 40),))
    image = Image.open(dataset.paths()[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(dataset.paths()[0], format="JPEG", exif=exif)
    store = open_store(dataset, Policy(), cache)
    assert (store.heights[0], store.widths[0]) == (40, 30)


def test_a_strip_one_pixel_wide_is_stored_at_a_bounded_length() -> None:
    assert Policy(short_side=384).target(5000, 1) == (384 * MAX_ASPECT, 384)
    assert Policy(short_side=384).target(1, 1) == (384, 384)
    assert Policy().target(5000, 1) == (5000, 1), "own size is own size"


def test_equal_policies_are_one_and_senseless_ones_are_refused() -> None:
    assert Policy(short_side=384, min_side=224) == Policy(short_side=384)
    assert Policy(short_side=100, min_side=224) == Policy(short_side=224)
    with pytest.raises(UsageError):
        Policy(interpolation="nearest")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        Policy(short_side=-1)


def test_a_changed_file_gets_a_new_store_and_an_unchanged_set_is_decoded_once(
    dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_store(dataset, SHORT, cache)
    monkeypatch.setattr(building, "load_plain", lambda *_: pytest.fail("decoded again"))
    assert open_store(dataset, SHORT, cache).key == first.key
    monkeypatch.undo()
    os.utime(dataset.paths()[0], (1, 1))
    second = open_store(dataset, SHORT, cache)
    assert second.key != first.key
    assert second.key != open_store(dataset, Policy(square=24), cache).key


def test_an_interrupted_build_keeps_what_it_finished(
    dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []

    def failing(path: Path, policy: Policy, name: str) -> np.ndarray:
        if path.name == "004.png" and len(decoded) < 5:
            raise DataError("cable pulled")
        decoded.append(path.name)
        return load_plain(path, policy, name)

    monkeypatch.setattr(building, "load_plain", failing)
    with pytest.raises(DataError, match="cable pulled"):
        open_store(dataset, SHORT, cache, workers=1)
    assert not store_folder(dataset, SHORT, cache).exists()
    part = next((cache / "pixels").glob("*.part"))
    with (part / JOURNAL).open("a") as journal:
        journal.write("[24, 3")  # torn by a kill
    decoded.extend(["x"] * 5)
    before = len(decoded)
    assert_whole(open_store(dataset, SHORT, cache, workers=1), dataset)
    assert decoded[before:] == ["004.png", "005.png", "006.png"]


def test_pixels_damaged_in_an_unfinished_build_are_decoded_again(
    dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "write_text", _fail_on_index)
    with pytest.raises(BenchError):
        open_store(dataset, SHORT, cache)
    monkeypatch.undo()
    part = next((cache / "pixels").glob("*.part"))
    harm(part / PIXELS, 2000)
    assert_whole(open_store(dataset, SHORT, cache), dataset)


def _fail_on_index(path: Path, text: str) -> None:
    if path.name == INDEX:
        raise OSError(28, "No space left on device")
    path.write_text(text)


def harm(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_is_found_and_only_that_picture_is_mended(
    dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(dataset, SHORT, cache)
    harm(store.folder / PIXELS, int(store.offsets[2]) + 7)
    decoded: list[str] = []

    def counting(path: Path, policy: Policy, name: str) -> np.ndarray:
        decoded.append(path.name)
        return load_plain(path, policy, name)

    monkeypatch.setattr(pixels, "load_plain", counting)
    with pytest.warns(UserWarning, match=r"002\.png were damaged"):
        assert_whole(open_store(dataset, SHORT, cache), dataset)
    assert decoded == ["002.png"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_whole(open_store(dataset, SHORT, cache), dataset)


def test_a_truncated_store_is_mended(dataset: Dataset, cache: Path) -> None:
    store = open_store(dataset, SHORT, cache)
    keep = int(store.offsets[5]) + 10
    folder = store.folder
    os.truncate(folder / PIXELS, keep)
    with pytest.warns(UserWarning, match="damaged"):
        assert_whole(open_store(dataset, SHORT, cache), dataset)
    (folder / PIXELS).unlink()
    with pytest.warns(UserWarning, match="damaged"):
        assert_whole(open_store(dataset, SHORT, cache), dataset)


def test_a_damaged_index_means_a_new_store(dataset: Dataset, cache: Path) -> None:
    store = open_store(dataset, SHORT, cache)
    text = (store.folder / INDEX).read_text()
    for damaged in (text[:-20], text.replace("24", "25", 1), "[]", ""):
        (store.folder / INDEX).write_text(damaged)
        assert_whole(open_store(dataset, SHORT, cache), dataset)


def test_damage_that_the_files_can_no_longer_mend_is_an_error(dataset: Dataset, cache: Path) -> None:
    store = open_store(dataset, SHORT, cache)
    harm(store.folder / PIXELS, 3)
    reopened = open_store(dataset, SHORT, cache)
    shutil.copy(dataset.paths()[1], dataset.paths()[0])
    with pytest.raises(DataError, match="remove the pixel store"):
        reopened.image(0)


def test_a_disk_too_small_is_told_before_building(
    dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(cache.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DataError, match="needs about") as error:
        open_store(dataset, SHORT, cache)
    assert "fragments_from" not in str(error.value)
    with pytest.raises(DataError, match="needs about .* --set fragments_from=resized"):
        open_store(dataset, Policy(), cache)
    assert not (cache / "pixels" / f"{store_folder(dataset, SHORT, cache).name}.part" / PIXELS).exists()


def test_a_write_that_fails_at_the_end_leaves_no_store_and_the_next_build_a_whole_one(
    dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, failed, whole = os.fsync, [], sum(height * width * 3 for height, width in SIZES)

    def once(file: int) -> None:
        if os.fstat(file).st_size == whole and not failed:
            failed.append(file)
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(file)

    monkeypatch.setattr(os, "fsync", once)
    with pytest.raises(DataError, match="No space left"):
        open_store(dataset, Policy(), cache)
    assert failed
    assert_whole(open_store(dataset, Policy(), cache), dataset)


def test_the_estimate_is_the_size(dataset: Dataset, cache: Path) -> None:
    for policy in (SHORT, Policy(), Policy(square=16)):
        assert estimate_bytes(dataset, policy) == pytest.approx(len(open_store(dataset, policy, cache).flat), abs=1)


def test_a_missing_or_broken_picture_is_named(dataset: Dataset, cache: Path) -> None:
    dataset.paths()[3].write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"003\.png"):
        open_store(dataset, SHORT, cache)
    dataset.paths()[3].unlink()
    with pytest.raises(DataError, match=r"003\.png"):
        open_store(dataset, SHORT, cache)


def _open_slowly(dataset: Dataset, cache: Path, log: Path) -> None:
    def slow(path: Path, policy: Policy, name: str) -> np.ndarray:
        time.sleep(0.05)
        with log.open("a") as file:
            file.write(f"{path.name}\n")
        return load_plain(path, policy, name)

    building.load_plain = slow  # type: ignore[attr-defined]
    store = open_store(dataset, SHORT, cache, workers=1)
    assert_whole(store, dataset)


def test_processes_that_ask_at_once_decode_every_picture_once(dataset: Dataset, cache: Path, tmp_path: Path) -> None:
    context, log = multiprocessing.get_context("fork"), tmp_path / "log"
    workers = [context.Process(target=_open_slowly, args=(dataset, cache, log)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert sorted(log.read_text().split()) == dataset.table["image"].tolist()


def half_way(dataset: Dataset, cache: Path, log: Path) -> BaseProcess:
    """A process that is building a store and has decoded some of its pictures."""
    builder = multiprocessing.get_context("fork").Process(target=_open_slowly, args=(dataset, cache, log))
    builder.start()
    while not log.exists() or len(log.read_text().split()) < 4:
        time.sleep(0.01)
    return builder


def kill(builder: BaseProcess) -> None:
    """As a power cut would: nothing is tidied up."""
    builder.kill()
    builder.join(10)


def test_a_build_that_is_killed_is_taken_over(dataset: Dataset, cache: Path, tmp_path: Path) -> None:
    builder = half_way(dataset, cache, tmp_path / "log")
    kill(builder)
    assert not store_folder(dataset, SHORT, cache).exists(), "readers never see a half-built store"
    assert_whole(open_store(dataset, SHORT, cache), dataset)
    assert [entry.name for entry in stores(cache)] == [store_folder(dataset, SHORT, cache).name]


def acting(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen before each picture but the first is decoded."""

    def load(path: Path, policy: Policy, name: str) -> np.ndarray:
        if path.name != "000.png":
            act()
        return load_plain(path, policy, name)

    monkeypatch.setattr(building, "load_plain", load)


def test_a_store_being_built_is_in_use_and_stays(
    dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Entry] = []
    acting(monkeypatch, lambda: removed.extend(limit(cache, 0)))
    store = open_store(dataset, SHORT, cache, workers=1)
    assert not removed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_whole(store, dataset)
    del store
    assert [entry.in_use for entry in stores(cache)] == [False], "the build's own mark is gone"


def test_the_store_of_a_dead_builder_may_go(dataset: Dataset, cache: Path, tmp_path: Path) -> None:
    builder = half_way(dataset, cache, tmp_path / "log")
    assert not limit(cache, 0)
    kill(builder)
    assert [entry.name for entry in limit(cache, 0)] == [f"{store_folder(dataset, SHORT, cache).name}.part"]


@pytest.mark.parametrize("kept", [False, True], ids=["deleted", "deleted and begun anew"])
def test_a_store_deleted_while_it_is_built_is_an_error_and_no_store(
    dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    part = store_folder(dataset, SHORT, cache).with_suffix(".part")

    def delete() -> None:
        shutil.rmtree(part, ignore_errors=True)
        if kept:
            part.mkdir()
            (part / PIXELS).touch()

    acting(monkeypatch, delete)
    with pytest.raises(DataError, match="deleted while it was built"):
        open_store(dataset, SHORT, cache, workers=1)
    assert not store_folder(dataset, SHORT, cache).exists()
    monkeypatch.undo()
    assert_whole(open_store(dataset, SHORT, cache), dataset)


def test_a_build_deletes_no_other_store_which_the_next_split_would_build_anew(dataset: Dataset, cache: Path) -> None:
    other = store_folder(dataset, Policy(square=21), cache)
    open_store(dataset, Policy(square=21), cache)
    os.utime(other, (1, 1))
    with pytest.warns(UserWarning, match="above cache_limit_gb"):
        assert_whole(open_store(dataset, Policy(square=23), cache, limit_bytes=1000), dataset)
    assert {entry.name for entry in stores(cache)} == {
        other.name,
        store_folder(dataset, Policy(square=23), cache).name,
    }


def test_a_build_that_keeps_the_cache_below_its_limit_says_nothing(dataset: Dataset, cache: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_whole(open_store(dataset, SHORT, cache, limit_bytes=1 << 30), dataset)


def test_progress_is_reported_to_the_end(dataset: Dataset, cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    open_store(dataset, SHORT, cache, progress=lambda done, total, _: seen.append((done, total)))
    assert seen[-1] == (len(dataset), len(dataset))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
