"""The command `bench import`: scores that were made elsewhere, put beside what was measured here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import Name, Plugin, ResultsFolder
from bench.cli.console import friendly, note, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cli.config import Config
    from bench.data.dataset import Dataset
    from bench.data.labels.scores import Scores
    from bench.records.external import Imported, Origin, Place
    from bench.records.results import Results


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command("import")(import_)


@friendly
def import_(
    scores: Annotated[Path, typer.Argument(help="A csv with a column of pictures and one of scores.")],
    name: Annotated[str, typer.Option("--name", help="What the scores go by: external:NAME in commands.")],
    on: Annotated[str, typer.Option("--on", help="The dataset whose pictures were scored.")],
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="A low score is a good picture: turn them round.")
    ] = False,
    image_column: Annotated[str, typer.Option("--image-column", help="The column of pictures.")] = "image",
    score_column: Annotated[str, typer.Option("--score-column", help="The column of scores.")] = "score",
    remark: Annotated[str, typer.Option("--remark", help="A footnote, such as what the model was trained on.")] = "",
    preset: Annotated[Name, typer.Option("--preset", help="The tables of which preset, where no run says.")] = None,
    splits: Annotated[Optional[int], typer.Option("--splits", min=1, help="So many splits, run here or not.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put other scores of that name aside.")] = False,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Bring in scores that were made elsewhere. They stand in tables, tests and figures, marked as external."""
    from bench.cli.invocation import configure, one_set, parsed
    from bench.cli.problems import report_problems
    from bench.core.files import sha256_of
    from bench.data.labels.scores import read_scores
    from bench.data.locate import load_dataset
    from bench.records.external import Import, Origin, import_scores
    from bench.records.results import Results
    from bench.records.store import Store

    asked = {**parsed({"preset": preset}), "splits": splits}
    config = configure(plugin, results=results, **asked)
    dataset = load_dataset(one_set([on], "bench import"), config.data, config.cache)
    table = read_scores(dataset, scores, image_column, score_column)
    origin = Origin(name, scores.name, sha256_of(scores), lower_is_better, remark.strip())
    store = Store(Path(config["results"]))
    store.ready()
    known = Results.read(store)
    report_problems(store)
    named = preset is not None or splits is not None
    places = places_of(config, dataset, known, named=named)
    _tell_scores(dataset, origin, table)
    imported = import_scores(store, Import(origin, dataset, table, store.root), places, replace=replace)
    _tell_places(origin, imported, known)


def places_of(config: Config, dataset: Dataset, known: Results, *, named: bool) -> dict[Place, Mapping[str, object]]:
    """Where the scores are to stand: beside every run that is tested on the set, and in the splits that were named.

    Where no run is tested on the set's own test parts, the preset's splits are taken.
    """
    from bench.core.spec import Target
    from bench.planning.presets import preset_named
    from bench.records.external import Place, places_beside

    places = places_beside(known, dataset.name)
    if named or not any(place.own for place in places):
        preset = preset_named(config.preset)
        rule = preset.rule_for(dataset.name)
        for seed in range(preset.seeds if rule.startswith("kfold") else 1):
            for split in range(config["splits"] or preset.splits):
                place = Place(preset.name, dataset.name, Target.of(dataset.name), split, split_rule=rule, seed=seed)
                places.setdefault(place, {})
    return places


def _tell_scores(dataset: Dataset, origin: Origin, table: Scores) -> None:
    """What was read: how many scores, which way they point, and which names are of no picture."""
    import numpy as np

    from bench.core.progress import counted
    from bench.data.labels.scores import listing

    scored = int(np.count_nonzero(~np.isnan(table.values)))
    way = "a low score is a good picture, so they are turned round" if origin.lower_is_better else "higher is better"
    note(f"{origin.method}: {scored} of {counted(len(dataset), 'picture')} of {dataset.name} scored; {way}.")
    if table.unknown:
        many = counted(len(table.unknown), "row")
        note(f"Left out: {many} of no picture of {dataset.name} ({listing(table.unknown)}).")


def _tell_places(origin: Origin, imported: Imported, known: Results) -> None:
    """Where the scores stand now, and what is odd about them."""
    from bench.core.progress import counted
    from bench.records.external import spans

    for line in spans(imported.written):
        say(f"Written: {line}")
    for line in spans(list(imported.left_out)):
        note(f"Not: {line}. {imported.left_out[next(iter(imported.left_out))]}")
    if imported.same:
        note(f"{counted(imported.same, 'place')} held these very scores already.")
    if imported.srcc < 0:
        advice = "leave out --lower-is-better" if origin.lower_is_better else "--lower-is-better"
        note(f"The median SRCC is {imported.srcc:.3f}. If the scores are the wrong way round: {advice}, and --replace.")
    measured = any(not record.spec.external for record in known.records)
    advice = "" if measured else " After a `bench run`, import again to stand beside its runs in all tables."
    say(f"{counted(len(imported.written), 'record')} written. Next: bench table{advice}")
