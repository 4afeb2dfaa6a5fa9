"""The options of `bench run`, as types of its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.commands.options import Name, Words

OVERWRITE_HELP = """Which finished runs to repeat.

\b
never    none that has a record
changed  those by other code (default)
failed   those, and the failed ones
always   all: everything trains again"""

Methods = Annotated[Words, typer.Option("--method", "-m", help="Methods, separated by commas, or all.")]
Protocols = Annotated[Words, typer.Option("--protocol", "-p", help="Protocols, separated by commas.")]
Preset = Annotated[Name, typer.Option("--preset", help="demo, study or paper.")]
Backbone = Annotated[Name, typer.Option("--backbone", help="A timm ViT by name.")]
Weights = Annotated[str, typer.Option("--weights", help="pretrained, random, or a weights file.")]
CnnWeights = Annotated[Optional[Path], typer.Option("--cnn-weights", help="A weights file for LoDa's CNN.")]
Sets = Annotated[
    Words, typer.Option("--dataset", "-d", help="Only these datasets, separated by commas; else all configured.")
]
TrainOn = Annotated[Words, typer.Option("--train-on", help="Sources of protocols that pair sets, such as cross.")]
TestOn = Annotated[Words, typer.Option("--test-on", help="Targets of such protocols, your own sets too.")]
Splits = Annotated[Optional[int], typer.Option("--splits", min=1, help="How many splits.")]
Seeds = Annotated[Optional[int], typer.Option("--seeds", min=1, help="How many seeds each split is trained with.")]
SplitRule = Annotated[
    str, typer.Option("--split-rule", help="random, kfold:K, images, official, loda, pyiqa or file:PATH.")
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Use only N images per set (a smoke run).")]
Size = Annotated[str, typer.Option("--size", help="Pixels a side of what the backbone sees, or native.")]
Settings = Annotated[
    Optional[list[str]],
    typer.Option("--set", help="KEY=VALUE for the recipe, a method or a protocol; METHOD.KEY=VALUE for one of them."),
]
Selection = Annotated[Name, typer.Option("--selection", help="Which epoch is tested: last, val, or oracle.")]
Budget = Annotated[str, typer.Option("--budget", help="Size every method to so many trainable parameters (8M).")]
Recipe = Annotated[
    str, typer.Option("--recipe", help="default, own (of each method's paper), or tuned (by `bench tune`).")
]
Precision = Annotated[Name, typer.Option("--precision", help="fp32 or bf16.")]
Overwrite = Annotated[Name, typer.Option("--overwrite", help=OVERWRITE_HELP)]
Pack = Annotated[
    Optional[int], typer.Option("--pack", min=0, help="Train up to N alike linear probes together; 1: none.")
]
Compile = Annotated[
    Optional[bool], typer.Option("--compile/--no-compile", help="Training steps through torch.compile, block by block.")
]
Graphs = Annotated[
    Optional[bool], typer.Option("--graphs/--no-graphs", help="Training steps replayed as CUDA graphs, on a card.")
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Store no frozen inputs: each run computes its own.")]
Partial = Annotated[bool, typer.Option("--partial", help="Accept a subset of a dataset, with a warning.")]
Executor = Annotated[Name, typer.Option("--executor", help="serial (here, one by one) or ray (a cluster).")]
Address = Annotated[Name, typer.Option("--address", help="A running Ray cluster; this machine alone if not given.")]
EmitSlurm = Annotated[Optional[Path], typer.Option("--emit-slurm", help="Only write an array-job script for Slurm.")]
SlurmTasks = Annotated[int, typer.Option("--slurm-tasks", min=1, help="How many members the array has.")]
CheckOverlap = Annotated[
    bool, typer.Option("--check-overlap", help="Look first for pictures that training and test sets share.")
]
Log = Annotated[
    Name,
    typer.Option("--log", help="Tell a tracker of each run: wandb, trackio, tensorboard, or a module of your own."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say only what fails.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object an event, for machines; with --quiet no progress.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
