"""About how long runs take that have no record yet: the networks' work over this machine's measured rate."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from bench.core.machine import pick_device, set_up
from bench.core.registry import METHODS
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec, Target
from bench.data.locate import source_of
from bench.execution.profiling.ceilings import matmul_rate
from bench.models.vit import vit_shape
from bench.models.weightless import PictureWork, count_picture_work

REACHED = 0.5
"""The share of the rate of large matrix products that training reaches, all told."""
SECONDS_EACH = 2.0
"""What a run takes besides: to make it ready, and to read and write."""


def rough_seconds(specs: Sequence[RunSpec], runtime: Runtime, kept: Collection[str] = ()) -> float:
    """Seconds that the runs take here one after the other; work that runs share is counted once.

    Of trainings whose weights are `kept`, only the tests are left.
    """
    set_up(runtime.threads)
    device = pick_device(runtime.device)
    rates = {precision: matmul_rate(device, precision) for precision in {spec.precision for spec in specs}}
    images = _images(specs, runtime)
    works: dict[str, tuple[RunSpec, PictureWork]] = {}
    total = SECONDS_EACH * len(specs)
    for trained, alike in _sharing(specs, kept):
        spec = alike[0]
        if spec.method not in works:
            works[spec.method] = spec, _work(spec)
        work = resized(*works[spec.method], spec)
        total += operations(spec, len(alike), images, work, trained=trained) / (REACHED * rates[spec.precision])
    return total


def _sharing(specs: Sequence[RunSpec], kept: Collection[str]) -> Iterator[tuple[bool, list[RunSpec]]]:
    """Whether they are trained, and the runs that differ in their split and their rate only: what is frozen is one."""
    beside_split: dict[tuple[str, bool], list[RunSpec]] = {}
    for spec in specs:
        beside_split.setdefault((spec.beside_split, spec.training_key in kept), []).append(spec)
    beside_rate: dict[tuple[str, bool], list[RunSpec]] = {}
    for (_, trained), alike in beside_split.items():
        at_one_rate = replace(alike[0], recipe=replace(alike[0].recipe, lr=1.0))
        beside_rate.setdefault((at_one_rate.beside_split, trained), []).extend(alike)
    for (_, trained), alike in beside_rate.items():
        yield trained, alike


def resized(counted: RunSpec, work: PictureWork, spec: RunSpec) -> PictureWork:
    """The work of a method that was counted on one backbone, on another: as their own passes are to each other.

    Counting takes half a second, and a plan may have a hundred combinations of method, backbone and options.
    """
    ratio = _one_pass(spec) / _one_pass(counted)
    sizes = ("training", "scoring", "frozen", "frozen_each")
    return replace(work, **{name: ratio * getattr(work, name) for name in sizes})


def _one_pass(spec: RunSpec, patches: int = 0) -> float:
    """Operations of a plain ViT on one crop, or so many patches: its linear maps and its attention, block by block.

    Of a method that stands on no ViT, its pixels: any network's work grows with them.
    """
    if not spec.backbone:
        return spec.recipe.size**2
    shape = vit_shape(spec.backbone)
    tokens = (patches or (spec.recipe.size // shape.patch) ** 2) + shape.prefix
    return shape.depth * (24 * tokens * shape.width**2 + 4 * tokens**2 * shape.width)


def _work(spec: RunSpec) -> PictureWork:
    """The work of one picture; what cannot be counted without weights is taken for a full fine-tune, the dearest."""
    try:
        return count_picture_work(spec)
    except Exception:  # some of peft's tuners read weights while they are put in, and a plugin may do anything
        if not spec.backbone:
            return PictureWork(0.0, 0.0, 0.0, 0.0, one_view=True)
        return count_picture_work(replace(spec, method="full_finetune", options={}))


def operations(
    spec: RunSpec, runs: int, images: Mapping[str, int], work: PictureWork, *, trained: bool = False
) -> float:
    """Floating-point operations of so many runs that share what is frozen; `trained`: of their tests alone."""
    recipe, whole = spec.recipe, sum(images[name] for name in spec.trained_on)
    trained_on = whole if spec.source == "all" else round(spec.fraction * whole)
    by_descent = "descent" in METHODS.card(spec.method).facts["learns"]
    training = 0 if trained else trained_on * recipe.train_views * (recipe.epochs if by_descent else 1)
    views: float = 1 if work.one_view else recipe.test_views
    if recipe.whole_pictures and spec.backbone:  # in crops, for a picture of the most patches
        views = _one_pass(spec, recipe.tokens) / _one_pass(spec)
    tested_on = {target: _tested(target, images) for target in spec.tests}
    testing = sum(tested_on.values()) * views
    pictures = sum(images[name] for name in spec.datasets)
    every_view = whole * recipe.train_views * recipe.epochs + pictures * views
    looked_at = min(every_view, runs * (training + testing))  # what is frozen is computed once for all of them
    networks = runs * (training * work.training + testing * work.scoring)
    return networks + pictures * work.frozen + looked_at * work.frozen_each


def _tested(target: Target, images: Mapping[str, int]) -> int:
    whole = images[target.dataset]
    return whole if target.part == "all" else whole - round(0.8 * whole)


def _images(specs: Sequence[RunSpec], runtime: Runtime) -> dict[str, int]:
    """How many pictures each set has, smoke runs' limits kept."""
    counts = {}
    limit = max(spec.limit for spec in specs)
    for name in {name for spec in specs for name in spec.datasets}:
        source = source_of(name, runtime.data, runtime.cache, partial=runtime.partial)
        count = source.images or len(source.loaded())
        counts[name] = min(count, limit) if limit else count
    return counts
