"""Views: the gathers equal plain slicing, draws are independent of everything but what they are asked for."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from bench.core.errors import UsageError
from bench.core.spec import Recipe
from bench.data.dataset import Dataset
from bench.data.pixels.policy import load_plain
from bench.data.pixels.store import PixelStore
from bench.data.views.batches import ViewMaker, policy_of, prefetched, stream
from bench.data.views.buffers import BufferPool
from bench.data.views.randomness import below, draws, name_keys
from bench.data.views.view import View

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = ((40, 56), (33, 90), (64, 32), (10, 13), (1, 7), (47, 47), (100, 32))
"""Heights and widths: some larger than the views of 32 pixels below, some smaller, one of a single line."""
RECIPE = Recipe(size=32, short_side=0)


def make_dataset(root: Path, sizes: tuple[tuple[int, int], ...] = SIZES, first: int = 0) -> Dataset:
    """Noise pictures of the given sizes; picture i is the same in every dataset."""
    names = []
    for i, (height, width) in enumerate(sizes, start=first):
        noise = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
        names.append(f"{i:03}.png")
        root.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(root / names[-1])
    table = pd.DataFrame({"image": names, "score": np.arange(len(names), dtype=float), "group": names})
    return Dataset("tiny", root, table, grouped=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def make(dataset: Dataset, cache: Path, view: View, recipe: Recipe = RECIPE) -> ViewMaker:
    return ViewMaker(dataset, {"v": view}, recipe, cache, "cpu", MEAN, STD)


def plain(dataset: Dataset, row: int, view: View) -> np.ndarray:
    return load_plain(dataset.paths()[row], policy_of(view, RECIPE))


def fragments_by_loops(picture: np.ndarray, n: int, f: int, offsets: np.ndarray) -> np.ndarray:
    """GLIA Eq. 1-2 in words of slices: cell (i, j) starts at (i·floor(H/n), j·floor(W/n)), a window of each."""
    g_h, g_w = picture.shape[0] // n, picture.shape[1] // n
    out = np.zeros((n * f, n * f, 3), dtype=np.uint8)
    for i in range(n):
        for j in range(n):
            cell = picture[i * g_h : (i + 1) * g_h, j * g_w : (j + 1) * g_w]
            dy, dx = offsets[i, j]
            window = cell[dy : dy + f, dx : dx + f]
            out[i * f : (i + 1) * f, j * f : (j + 1) * f] = window
    return out


@pytest.mark.parametrize(("n", "f"), [(4, 8), (2, 16), (1, 32), (8, 4), (32, 1)])
def test_corner_fragments_are_equation_two(dataset: Dataset, cache: Path, n: int, f: int) -> None:
    view = View("fragments", 32, grid=n, fragment=f, offset="corner")
    raw = make(dataset, cache, view).raw("v", np.arange(len(dataset)), epoch=0, number=0, training=True).numpy()
    for row in range(len(dataset)):
        expected = fragments_by_loops(plain(dataset, row, view), n, f, np.zeros((n, n, 2), dtype=int))
        np.testing.assert_array_equal(raw[row], expected)


def test_random_fragments_lie_within_their_cells(dataset: Dataset, cache: Path) -> None:
    view = View("fragments", 32, grid=4, fragment=8, offset="random")
    rows = np.arange(len(dataset))
    raw = make(dataset, cache, view).raw("v", rows, epoch=3, number=1, training=True).numpy()
    keys = name_keys(dataset.table["image"].tolist())
    drawn = draws(keys, 2 + 32, seed=0, epoch=3, number=1, training=True)[:, 2:].reshape(-1, 4, 4, 2)
    for row in rows:
        picture = plain(dataset, row, view)
        room = np.array([picture.shape[0] // 4 - 8 + 1, picture.shape[1] // 4 - 8 + 1])
        expected = fragments_by_loops(picture, 4, 8, below(drawn[row], room))
        np.testing.assert_array_equal(raw[row], expected)


def test_every_offset_up_to_the_largest_is_drawn(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "p", ((36, 38),))  # cells of 9 × 9: offsets 0 and 1 both ways
    view = View("fragments", 32, grid=4, fragment=8, offset="random")
    maker = make(dataset, tmp_path / "c", view)
    many = maker.raw("v", np.zeros(64, dtype=int), epoch=0, number=np.arange(64), training=False).numpy()
    picture = plain(dataset, 0, view)
    for i, j in ((0, 0), (3, 3), (1, 2)):
        seen = {many[k, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8].tobytes() for k in range(64)}
        windows = {
            picture[9 * i + dy : 9 * i + dy + 8, 9 * j + dx : 9 * j + dx + 8].tobytes()
            for dy in (0, 1)
            for dx in (0, 1)
        }
        assert seen == windows


def test_crops_are_windows_of_the_picture_and_reach_all_four_corners(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "p", ((34, 35),))
    maker = make(dataset, tmp_path / "c", View("crop", 32))
    many = maker.raw("v", np.zeros(200, dtype=int), epoch=0, number=np.arange(200), training=True).numpy()
    picture = plain(dataset, 0, maker.views["v"])
    windows = {picture[y : y + 32, x : x + 32].tobytes() for y in range(3) for x in range(4)}
    assert {crop.tobytes() for crop in many} == windows


def test_pictures_smaller_than_the_view_are_brought_up_to_it(dataset: Dataset, cache: Path) -> None:
    store = make(dataset, cache, View("crop", 32)).store("v", True)
    assert np.minimum(store.heights, store.widths).min() == 32
    assert (store.heights[0], store.widths[0]) == (40, 56), "a large enough picture keeps its own size"
    assert (store.heights[3], store.widths[3]) == (32, 41), "10 × 13 keeps its aspect"


def test_the_whole_picture_is_squeezed_to_the_view(dataset: Dataset, cache: Path) -> None:
    view = View("resize", 32)
    raw = make(dataset, cache, view).raw("v", np.array([2, 0]), epoch=0, number=5, training=False).numpy()
    for at, row in enumerate((2, 0)):
        whole = Image.open(dataset.paths()[row]).resize((32, 32), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(raw[at], np.asarray(whole))


@pytest.mark.parametrize("kind", ["crop", "fragments"])
def test_flips_mirror_the_same_view_in_training_only(dataset: Dataset, cache: Path, kind: str) -> None:
    grid = {"grid": 4, "fragment": 8} if kind == "fragments" else {}
    flipping = make(dataset, cache, View(kind, 32, flips=True, **grid))  # type: ignore[arg-type]
    still = make(dataset, cache, View(kind, 32, **grid))  # type: ignore[arg-type]
    rows, seen = np.arange(len(dataset)).repeat(16), np.tile(np.arange(16), len(dataset))
    ask = {"epoch": 0, "number": seen}
    a = flipping.raw("v", rows, training=True, **ask).numpy()
    b = still.raw("v", rows, training=True, **ask).numpy()
    kinds = set()
    for one, other in zip(a, b, strict=True):
        forms = [other, other[:, ::-1], other[::-1], other[::-1, ::-1]]
        kinds |= {i for i, form in enumerate(forms) if np.array_equal(one, form)}
        assert any(np.array_equal(one, form) for form in forms)
    assert kinds == {0, 1, 2, 3}
    test = {"epoch": 0, "number": seen, "training": False}
    assert torch.equal(flipping.raw("v", rows, **test), still.raw("v", rows, **test))


def test_all_views_of_an_image_are_flipped_alike(dataset: Dataset, cache: Path) -> None:
    views = {"whole": View("resize", 32, flips=True), "corner": View("fragments", 32, 1, 32, "corner", flips=True)}
    square = make_dataset(cache / "squares", ((32, 32),) * 8)
    maker = ViewMaker(square, views, RECIPE, cache, "cpu", MEAN, STD)
    ask = {"epoch": 1, "number": 0, "training": True}
    assert torch.equal(maker.raw("whole", np.arange(8), **ask), maker.raw("corner", np.arange(8), **ask))


def test_a_view_does_not_depend_on_batch_order_or_on_the_rest_of_the_set(tmp_path: Path) -> None:
    whole = make_dataset(tmp_path / "p", ((50, 60),) * 8)
    part = make_dataset(tmp_path / "q", ((50, 60),) * 4, first=4)
    for view in (View("crop", 32, flips=True), View("fragments", 32, 4, 8, flips=True)):
        a, b = make(whole, tmp_path / "c", view), make(part, tmp_path / "c", view)
        for training in (True, False):
            ask = {"epoch": 2, "training": training}
            full = a.pictures("v", np.arange(8), number=1, **ask)
            order = np.array([6, 1, 4, 7, 0])
            assert torch.equal(a.pictures("v", order, number=1, **ask), full[order])
            assert torch.equal(b.pictures("v", np.arange(4), number=1, **ask), full[4:])
            mixed = a.pictures("v", np.array([3, 3]), number=np.array([0, 1]), **ask)
            assert torch.equal(mixed[1], full[3])
            assert not torch.equal(mixed[0], mixed[1])


def test_training_views_change_with_seed_and_epoch_and_test_views_with_neither(dataset: Dataset, cache: Path) -> None:
    other = Recipe(size=32, short_side=0, seed=1)
    a, b = make(dataset, cache, View("crop", 32)), make(dataset, cache, View("crop", 32), other)
    rows = np.arange(len(dataset))
    first = a.raw("v", rows, epoch=0, number=0, training=True)
    assert not torch.equal(first, a.raw("v", rows, epoch=1, number=0, training=True))
    assert not torch.equal(first, b.raw("v", rows, epoch=0, number=0, training=True))
    test = a.raw("v", rows, epoch=0, number=0, training=False)
    assert not torch.equal(first, test)
    assert torch.equal(test, b.raw("v", rows, epoch=9, number=0, training=False))


def test_pictures_are_the_raw_bytes_normalised(dataset: Dataset, cache: Path) -> None:
    maker = make(dataset, cache, View("crop", 32))
    ask = {"epoch": 0, "number": 0, "training": True}
    raw = maker.raw("v", np.arange(4), **ask).numpy().astype(np.float64)
    expected = ((raw / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    pictures = maker.pictures("v", np.arange(4), **ask)
    assert pictures.dtype == torch.float32
    assert pictures.is_contiguous()
    np.testing.assert_allclose(pictures.numpy(), expected, atol=1e-6)


def test_a_store_is_put_in_its_place_once_by_the_first_who_reads_a_picture(
    dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, plain = [], ViewMaker._place

    def slowly(maker: ViewMaker, store: PixelStore) -> torch.Tensor:
        placed.append(store)
        time.sleep(0.05)
        return plain(maker, store)

    monkeypatch.setattr(ViewMaker, "_place", slowly)
    maker = make(dataset, cache, View("crop", 24))
    assert not placed
    with ThreadPoolExecutor(4) as pool:
        ask = {"epoch": 0, "number": 0, "training": True}
        list(pool.map(lambda row: maker.raw("v", np.array([row]), **ask), range(4)))
    assert len(placed) == 1


def test_stream_names_exactly_what_a_view_depends_on() -> None:
    ask = {"seed": 1, "epoch": 2, "number": 3}
    assert stream(View("resize", 32), training=True, **ask) == ""
    assert stream(View("fragments", 32, 4, 8, "corner"), training=True, **ask) == ""
    assert stream(View("resize", 32, flips=True), training=False, **ask) == ""
    assert "epoch 2" in stream(View("resize", 32, flips=True), training=True, **ask)
    assert stream(View("crop", 32), training=False, **ask) == "test number 3"


def test_draws_are_uniform_and_independent() -> None:
    keys = name_keys([f"{i}.png" for i in range(4000)])
    ask = {"seed": 0, "epoch": 0, "training": True}
    a = draws(keys, 4, number=0, **ask).astype(np.float64) / 2**32
    b = draws(keys, 4, number=1, **ask).astype(np.float64) / 2**32
    assert np.abs(a.mean(axis=0) - 0.5).max() < 4 * np.sqrt(1 / 12 / 4000)
    for column in a.T:
        counts = np.histogram(column, bins=20, range=(0, 1))[0]
        assert ((counts - 200) ** 2 / 200).sum() < 50  # chi-square, 19 degrees of freedom: p < 0.0002
    correlation = np.corrcoef(np.concatenate([a, b], axis=1).T) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_fragments_that_do_not_fill_the_view_are_refused(dataset: Dataset, cache: Path) -> None:
    with pytest.raises(UsageError, match="do not make 32"):
        make(dataset, cache, View("fragments", 32, grid=3, fragment=8))


def test_a_buffer_is_reused_only_when_nothing_refers_to_it() -> None:
    pool = BufferPool()
    first = pool.empty((4, 4))
    kept = first[1:].fill_(7.0)
    address = first.data_ptr()
    del first
    assert pool.empty((4, 4)).data_ptr() != address
    assert (kept == 7).all()
    del kept
    assert address in {pool.empty((4, 4)).data_ptr() for _ in range(2)}


def test_prefetched_keeps_the_order_and_passes_exceptions_on() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("broken picture")

    seen: list[int] = []
    with pytest.raises(ValueError, match="broken picture"):
        collections.deque(map(seen.append, prefetched(items())))
    assert seen == [0, 1, 2, 3, 4]


def test_leaving_the_loop_ends_the_prefetch_thread() -> None:
    before = threading.active_count()
    endless = iter(int, 1)
    for _ in prefetched(endless):
        break
    assert threading.active_count() == before


def test_a_whole_view_is_the_picture_as_it_is_stored_one_at_a_time(dataset, cache):
    maker = make(dataset, cache, View("whole", 16, original=True, plain=True))
    for row in range(2):
        with Image.open(dataset.paths()[row]) as image:
            pixels = np.array(image)
        found = maker.pictures("v", np.array([row]), epoch=3, number=2, training=True)
        assert np.array_equal(found[0].permute(1, 2, 0).numpy(), pixels)
    with pytest.raises(UsageError, match="one at a time"):
        maker.pictures("v", np.array([0, 1]), epoch=0, number=0, training=False)


def test_pictures_can_be_squeezed_before_crops_are_cut(dataset, cache):
    maker = make(dataset, cache, View("crop", 16, squeezed=(20, 31)))
    store = maker.store("v", True)
    assert set(zip(store.heights.tolist(), store.widths.tolist(), strict=True)) == {(20, 31)}
    with pytest.raises(UsageError, match="no crop of 32 fits pictures squeezed"):
        make(dataset, cache, View("crop", 32, squeezed=(20, 31)))


def test_the_text_of_a_view_by_which_caches_go_is_as_it_always_was():
    assert repr(View("crop", 224)) == (
        "View(kind='crop', size=224, grid=0, fragment=0, offset='random', flips=False, original=False)"
    )
