"""Commands around data: `bench data …` and `bench cache …`. Parse, call, print."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import Plugin
from bench.cli.console import friendly, grid, note, say, say_as_it_is

if TYPE_CHECKING:
    from bench.cli.config import Config
    from bench.core.spec import Recipe
    from bench.data.caches import Entry
    from bench.data.views.view import View

data_app = App(help="Check, prepare, make or fetch datasets.", no_args_is_help=True)
cache_app = App(help="Look at or clear what is kept to save time.", no_args_is_help=True)


def attach(app: App) -> None:
    """Put these commands on the `bench` command."""
    app.add_typer(data_app, name="data")
    app.add_typer(cache_app, name="cache")


@data_app.command(configured=False)
@friendly
def synthesize(
    photos: Annotated[Path, typer.Option("--photos", help="A folder of photographs.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
    crops: Annotated[int, typer.Option("--crops", min=1, help="Crops taken from each photograph.")] = 1,
    per_crop: Annotated[int, typer.Option("--per-crop", min=1, help="Distorted versions of each crop.")] = 25,
    width: Annotated[int, typer.Option("--width", min=32, help="Width of the crops.")] = 512,
    height: Annotated[int, typer.Option("--height", min=32, help="Height of the crops.")] = 384,
    wild: Annotated[bool, typer.Option("--wild", help="Two or three distortions at once.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed, another set.")] = 0,
) -> None:
    """Make a KADID-style set from your own photographs. 25 distortions at 5 levels, human cell means as labels."""
    from bench.core.progress import Display
    from bench.data.locate import section_for
    from bench.data.synthesis.synthesize import Recipe, photos_in
    from bench.data.synthesis.synthesize import synthesize as make

    recipe = Recipe(
        size=(width, height), crops=crops, per_crop=per_crop, per_image="wild" if wild else "single", seed=seed
    )
    with Display() as display:
        make(photos_in(photos, display.line), out, recipe, heal=False, progress=display.report)
    say(f"Written: {out}. For bench.toml:")
    say_as_it_is(f"\n{section_for(out.resolve())}")


@data_app.command()
@friendly
def check(
    name: Annotated[str, typer.Argument(help="A dataset, or all.")] = "all",
    deep: Annotated[bool, typer.Option("--deep", help="Decode every picture.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="A subset is what I want: counts are warnings.")] = False,
    plugin: Plugin = None,
) -> None:
    """Look at a dataset's labels and the heads of its pictures. The exit status is 1 when a run could go wrong."""
    from bench.cli.data_check import print_check
    from bench.cli.invocation import configure
    from bench.core.progress import Display
    from bench.data.obtain.check import check as look
    from bench.data.obtain.check import check_all, sets_to_check

    config = configure(plugin, check_sets=False)
    with Display() as display:
        wishes: dict[str, Any] = {"partial": partial, "deep": deep, "workers": _cores(), "progress": display.report}
        absent: list[str] = []
        if name == "all":
            names, absent = sets_to_check(config.data)
            reports = check_all(names, config.data, config.cache, **wishes)
        else:
            reports = [look(name, config.data, config.cache, **wishes)]
    raise typer.Exit(print_check(reports, absent, config.data.get("root", "")))


@data_app.command()
@friendly
def prepare(
    names: Annotated[list[str], typer.Argument(help="Datasets.")],
    preset: Annotated[
        Optional[str], typer.Option("--preset", help="Whose picture sizes: demo, study or paper.")
    ] = None,
    original: Annotated[
        bool, typer.Option("--original", help="Also in their own sizes, from which GLIA cuts its fragments.")
    ] = False,
    settings: Annotated[
        Optional[list[str]], typer.Option("--set", help="KEY=VALUE of the recipe, as the runs will have it.")
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Decode every picture once into the stores that runs read. A stopped build goes on where it was."""
    from bench.cli.invocation import configure
    from bench.core.mixes import sets_of
    from bench.core.progress import Display, counted
    from bench.data.caches import bytes_of
    from bench.data.locate import load_dataset
    from bench.data.pixels.build import estimate_bytes
    from bench.data.pixels.store import open_store
    from bench.data.views.batches import policy_of

    config = configure(plugin, preset=preset)
    asked, limit = _asked_of_recipe(settings or (), config), bytes_of(config["cache_limit_gb"])
    ready = []  # all stay open, and so in use: none is deleted to make room for the next
    with Display() as display:
        for name in dict.fromkeys(part for each in names for part in sets_of(each)):
            dataset = load_dataset(name, config.data, config.cache, progress=display.report)
            recipe, views = _looked_at(name, asked, config, original=original)
            for policy in dict.fromkeys(policy_of(view, recipe) for view in views):
                display.line(f"{name}: {policy.text()}: {_size(estimate_bytes(dataset, policy))} in {config.cache}")
                ready.append(open_store(dataset, policy, config.cache, progress=display.report, limit_bytes=limit))
                display.line(f"{name}: {counted(len(ready[-1]), 'picture')} ready in {ready[-1].folder}")


def _asked_of_recipe(settings: Sequence[str], config: Config) -> dict[str, Any]:
    """What flags and the file set in the recipe of every run."""
    from bench.cli.config import file_settings
    from bench.core.errors import UsageError
    from bench.planning.plan import sort_settings

    typed = sort_settings(settings, [], [])
    if typed.spec:
        raise UsageError(f"--set {', '.join(typed.spec)}: pictures are stored alike whatever the splits are.")
    return {**file_settings(config).recipe, **typed.recipe}


def _looked_at(name: str, asked: dict[str, Any], config: Config, *, original: bool) -> tuple[Recipe, list[View]]:
    """The recipe of a set's runs, and what they look at."""
    from bench.data.views.view import View
    from bench.planning.plan import native_size
    from bench.planning.presets import preset_named
    from bench.planning.usual import recipe_on

    preset = preset_named(config.preset)
    backbone = config["backbone"] or preset.backbone
    recipe = recipe_on(preset, name, asked, backbone, native_size)
    views = [View("crop", recipe.size), View("resize", recipe.size)]
    views += [View("crop", recipe.size, original=True)] if original else []
    if recipe.whole_pictures:
        from bench.models.vit import vit_shape

        views += [View("native", recipe.size, patch=vit_shape(backbone).patch, tokens=recipe.tokens)]
    return recipe, views


@data_app.command()
@friendly
def download(
    name: Annotated[str, typer.Argument(help="The dataset.")],
    urls: Annotated[
        Optional[list[str]], typer.Argument(help="Addresses, as URL#sha256=HEX; else those in bench.toml.")
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Fetch and unpack a dataset from addresses you give. Resumed, verified, unpacked safely."""
    from bench.cli.invocation import configure
    from bench.core.progress import Display
    from bench.data.obtain.download import download as fetch

    config = configure(plugin)
    with Display() as display:
        for line in fetch(name, config.data, urls=tuple(urls or ()), progress=display.report):
            display.line(line)
    say(f"Now look at it: bench data check {name} --deep")


@data_app.command()
@friendly
def overlap(
    first: Annotated[str, typer.Argument(help="A dataset.")],
    second: Annotated[str, typer.Argument(help="Another.")],
    most: Annotated[int, typer.Option("--most", min=0, help="How many pairs to print.")] = 20,
    plugin: Plugin = None,
) -> None:
    """Pictures that two datasets share, by perceptual hash. The exit status is 1 when there are some."""
    from bench.cli.invocation import configure
    from bench.core.progress import Display
    from bench.data.locate import load_dataset
    from bench.data.obtain.overlap import overlap as shared

    config = configure(plugin)
    with Display() as display:
        sets = [load_dataset(n, config.data, config.cache, progress=display.report) for n in (first, second)]
        result = shared(sets[0], sets[1], workers=_cores(), progress=display.report)
    say(result.sentence())
    if result.pairs and most:
        grid((first, second, "bits apart"), [(p.first, p.second, p.distance) for p in result.pairs[:most]])
    raise typer.Exit(1 if result.pairs else 0)


def _cores() -> int:
    from bench.data.pixels.store import usable_cores

    return usable_cores()


@cache_app.command("ls")
@friendly
def cache_ls(
    each: Annotated[bool, typer.Option("--all", help="Every entry by its name, not summed up by set.")] = False,
) -> None:
    """What is kept, how big it is, and when it was last used."""
    from bench.cli.invocation import configure
    from bench.data.caches import cache_entries

    config = configure()
    entries = cache_entries(config.cache)
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.kind, entry.name if each else entry.of), []).append(entry)
    largest_first = sorted(groups.items(), key=lambda item: -sum(e.bytes for e in item[1]))
    if entries:
        rows = [(*place, *_summed(files)) for place, files in largest_first]
        grid(("kind", "of", "entries", "size", "last used"), rows, title=str(config.cache))
    total = _size(sum(e.bytes for e in entries))
    say(f"{total} in {_entries(entries)}; the limit is {config['cache_limit_gb']:g} GB.")


def _summed(entries: Sequence[Entry]) -> tuple[str, ...]:
    """How many entries there are, their size, and when the newest of them was used."""
    import time

    from bench.core.progress import clock

    age = max(0.0, time.time() - max(entry.used for entry in entries))
    used = "in use now" if any(entry.in_use for entry in entries) else f"{clock(age)} ago"
    return str(len(entries)), _size(sum(entry.bytes for entry in entries)), used


@cache_app.command("rm")
@friendly
def cache_rm(
    names: Annotated[list[str], typer.Argument(help="Datasets, kinds, names (bench cache ls --all), or all.")],
) -> None:
    """Delete entries; what is needed later is built again."""
    from bench.cli.invocation import configure
    from bench.core.errors import UsageError
    from bench.data.caches import cache_entries, remove
    from bench.data.locate import dataset_names

    config = configure()
    entries = cache_entries(config.cache)
    sets = dataset_names(config.data)
    unknown = [n for n in names if n != "all" and not any(e.answers_to(n, sets) for e in entries)]
    if unknown:
        raise UsageError(f"The cache has nothing of the name or kind {', '.join(unknown)}; see bench cache ls.")
    chosen = [e for e in entries if "all" in names or any(e.answers_to(n, sets) for n in names)]
    for entry in chosen:
        if entry.in_use:
            note(f"{entry.name} is in use by a run and stays.")
        else:
            remove(entry)
    gone = [e for e in chosen if not e.in_use]
    say(f"{_entries(gone)} deleted, {_size(sum(e.bytes for e in gone))} freed.")


@cache_app.command("limit")
@friendly
def cache_limit(
    gigabytes: Annotated[float, typer.Argument(min=0.0, help="Shrink the cache to at most this size now.")],
) -> None:
    """Delete what was not used for longest until all fits. `cache_limit_gb` in bench.toml bounds frozen inputs."""
    from bench.cli.invocation import configure
    from bench.data.caches import bytes_of, cache_entries, limit, why_not_less

    config, most = configure(), bytes_of(gigabytes)
    gone = limit(config.cache, most)
    say(f"{_entries(gone)} deleted, {_size(sum(e.bytes for e in gone))} freed.")
    left = sum(entry.bytes for entry in cache_entries(config.cache))
    if left > most:
        say(f"{_size(left)} are left, more than asked for: {why_not_less(config.cache)}.")


def _entries(entries: Sized) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.2f} GB"
