"""Commands around data: `bench data …` and `bench cache …`. Parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.console import friendly, grid, note, say

data_app = typer.Typer(help="Check, prepare, make or fetch datasets.", no_args_is_help=True)
cache_app = typer.Typer(help="Look at or clear what is kept to save time.", no_args_is_help=True)


def attach(app: typer.Typer) -> None:
    """Put these commands on the `bench` command."""
    app.add_typer(data_app, name="data")
    app.add_typer(cache_app, name="cache")


@data_app.command()
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
    """Make a KADID-style set from your own photographs: 25 distortions at 5 levels, human cell means as labels."""
    from bench.data.synthesize import Recipe, photos_in
    from bench.data.synthesize import synthesize as make
    from bench.progress import Display

    recipe = Recipe(size=(width, height), crops=crops, per_crop=per_crop, per_image="wild" if wild else "single", seed=seed)
    with Display() as display:
        make(photos_in(photos), out, recipe, progress=display.report)
    say(f"Written: {out}. In bench.toml: [data.myset] loader = \"folder\", path = \"{out}\"")
