"""Options that several commands have, as types of their parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Name = Optional[str]
Words = Optional[list[str]]
Paths = Optional[list[Path]]

ResultsFolder = Annotated[Optional[Path], typer.Option("--results", help="The results folder.")]
ReadFolder = Annotated[Optional[Path], typer.Option("--results", help="The results folder; with --out only read.")]
Plugin = Annotated[Paths, typer.Option("--plugin", help="A Python file with further methods, protocols or datasets.")]
Device = Annotated[Name, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Jobs = Annotated[
    Name, typer.Option("--jobs", "-j", help="Runs at once here, in N processes; auto: as many as have room.")
]

OnlyMethods = Annotated[Words, typer.Option("--method", "-m", help="Only these methods, separated by commas.")]
OnlySets = Annotated[Words, typer.Option("--dataset", "-d", help="Only these datasets, separated by commas.")]
OnlyPreset = Annotated[Name, typer.Option("--preset", help="Only the runs of this preset: demo, study or paper.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="Smoke runs (made with --limit) too.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse numbers that were not made alike.")]

BackboneFile = Annotated[
    Optional[Path],
    typer.Option("--weights", metavar="FILE", help="The backbone's file, where a run was made with one."),
]
CnnFile = Annotated[Optional[Path], typer.Option("--cnn-weights", help="The same for a method's CNN.")]
