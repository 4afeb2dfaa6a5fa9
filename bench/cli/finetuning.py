"""The work behind `bench finetune`: a folder becomes a set, a set a plan, a plan a run, and the run a scorer."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.cli.config import Config, file_settings
from bench.cli.console import DEBUG, note, say, say_as_it_is
from bench.cli.data_check import print_check
from bench.cli.execute import execute
from bench.cli.invocation import CHOSEN_FILE
from bench.cli.preflight import look_ahead
from bench.cli.preview import preview
from bench.cli.split_files import with_split_rule
from bench.core.errors import DataError, UsageError
from bench.core.progress import Display, counted
from bench.core.registry import METHODS
from bench.core.runtime import Runtime
from bench.core.split_rules import is_fixed
from bench.data.locate import load_dataset
from bench.data.obtain.check import check
from bench.data.pixels.contents import Contents
from bench.data.pixels.store import usable_cores
from bench.data.splits import split_of
from bench.planning.plan import Ask, Plan, make_plan
from bench.records.store import Store
from bench.scoring.card import METRICS, measured
from bench.scoring.load import scorer_of_run
from bench.scoring.own_set import Columns, own_set, scores_said
from bench.scoring.runs import best_method, run_of_key
from bench.training.shared import Shared

USUAL_METHOD = "adapter"
"""Where nothing was measured here: few parameters, and at its start the pretrained network itself."""
FEWEST_TESTED = 8
"""By chance alone the SRCC of seven pictures reaches .68 once in twenty times."""


@dataclass(frozen=True)
class Wish:
    """A `bench finetune` command line."""

    folder: Path
    columns: Columns
    method: str
    weights: str
    settings: tuple[str, ...]
    splits: int
    dry_run: bool


def finetune_folder(wish: Wish, config: Config, make_runtime: Callable[..., Runtime]) -> int:
    """Check, say, train, keep, and tell how to use it; the exit code says whether it came to a model."""
    if "," in wish.method or wish.method == "all":
        raise UsageError("bench finetune trains one method; bench run compares several.")
    METHODS.target(wish.method or USUAL_METHOD)
    name, entry = own_set(wish.folder, wish.columns, config.data)
    if name not in config.data:
        note(scores_said(entry))
    data = {**config.data, name: entry}
    runtime = make_runtime(data=data, keep_weights="always")
    _check(name, runtime)
    method = wish.method or _best_here(runtime, config.preset)
    plan = _plan(wish, config, name, method, runtime)
    runtime = replace(runtime, weight_files=plan.weight_files)
    plan = look_ahead(plan, runtime, note)
    _announce(plan, method, chosen=not wish.method)
    known = _known_before(plan, runtime)
    preview(plan, runtime, config["overwrite"])
    if wish.dry_run:
        return 0
    code = execute(plan, runtime, config, DEBUG["on"])
    return code or _tell(plan, runtime, known, _said_again(wish, config, runtime))


def _check(name: str, runtime: Runtime) -> None:
    """`bench data check`, and an end where a run could go wrong."""
    with Display() as display:
        report = check(name, runtime.data, runtime.cache, workers=usable_cores(), progress=display.report)
    if print_check([report], [], ""):
        raise DataError(f"{name} cannot be trained on as it is: mend what is said above, and give the command again.")


def _best_here(runtime: Runtime, preset: str) -> str:
    """The method that did best in this results folder of those that any folder can train, if any were compared."""
    return best_method(Store(runtime.results), preset) if runtime.results.is_dir() else ""


def _plan(wish: Wish, config: Config, name: str, method: str, runtime: Runtime) -> Plan:
    chosen = method or USUAL_METHOD
    ask = Ask(
        methods=(chosen,),
        protocols=("main",),
        preset=config.preset,
        backbone=config["backbone"],
        datasets=(name,),
        splits=wish.splits,
        seeds=config["seeds"] or 1,
        settings=with_split_rule(wish.settings, "", (name,), replace(config, data=runtime.data)),
        file=file_settings(config),
        weights=wish.weights,
        precision=config["precision"],
        data=runtime.data,
    )
    return make_plan(ask)


def _announce(plan: Plan, method: str, *, chosen: bool) -> None:
    spec = plan.specs[0]
    why = "" if not chosen else ", which did best here" if method else ", the usual choice"
    share = f"{1 - spec.fraction:.0%} of the contents are"
    if spec.folds or is_fixed(spec.split_rule):
        share = "the split's test part is"
    held = f"{share} held out for an honest number"
    say(f"Training {spec.method}{why}, on {spec.backbone} by the {plan.preset.name} preset's recipe; {held}.")
    if plan.preset.made:
        note("This preset is small, for laptops. --preset paper takes ViT-B/16 and the papers' recipe, on a GPU.")


def _known_before(plan: Plan, runtime: Runtime) -> dict[int, int]:
    """By split, how many test pictures are copies of what is learned from: said before, as is that they are few."""
    dataset = load_dataset(plan.specs[0].train, runtime.data, runtime.cache, partial=runtime.partial)
    names = dataset.table["image"].tolist()
    with Contents(dataset.root, runtime.cache) as contents:
        twins = [set(same) for same in contents.twins(names)]
    known, fewest = {}, len(names)
    for spec in plan.specs:
        split = split_of(spec, dataset, runtime.results)
        tested, learned = ({names[row] for row in rows} for rows in (split.test, (*split.train, *split.validation)))
        known[spec.split] = sum(len(same & tested) for same in twins if same & learned)
        fewest = min(fewest, len(tested))
    if copies := max(known.values()):
        note(
            f"Warning: {counted(copies, 'picture')} held out lie under other names among those to learn from, so the "
            "number will be too good: take the copies out, or give copies one scene (--group-column)."
        )
    if fewest < FEWEST_TESTED:
        note(f"Warning: {counted(fewest, 'picture')} held out: too few to tell a good model from chance. Rate more.")
    return known


def _said_again(wish: Wish, config: Config, runtime: Runtime) -> str:
    """The flags of this command that the next one needs too, to find the model and what it stands on."""
    named = [("--config", str(CHOSEN_FILE.get() or ""))]
    named += [("--results", config["results"])] * (config.origins["results"] == "--results")
    named += [("--plugin", file) for file in runtime.plugins[len(config.plugins) :]]
    named += [("--weights", wish.weights)] * bool(runtime.weight_files)
    return "".join(f" {flag} {shlex.quote(value)}" for flag, value in named if value)


def _tell(plan: Plan, runtime: Runtime, known: Mapping[int, int], flags: str) -> int:
    """The honest numbers, the models' scale, and the line that scores pictures."""
    store, shared = Store(runtime.results), Shared()
    keys = []
    for spec in plan.specs:
        record = run_of_key(store, spec.key)
        keys.append(record.key[:8])
        for one in measured(record):
            between = f" ({one.low:.3f} to {one.high:.3f})" if one.low is not None and one.high is not None else ""
            unseen = _tested(one.pictures, known[spec.split])
            say(f"{METRICS[one.metric]} {one.value:.3f}{between} {unseen}, run {record.key[:8]}.")
        with Display() as display:
            scorer = scorer_of_run(record, runtime, display.report, shared)
        if scorer.scale is None:
            note(f"Its scores stay raw numbers: {scorer.about.why_raw}.")
    say_as_it_is(f"Kept in {runtime.results}. Next: bench predict PICTURES --run {','.join(keys)} --sort{flags}")
    note(f"To take it elsewhere: bench export {keys[0]} --to model.safetensors{flags}")
    return 0


def _tested(pictures: int, copies: int) -> str:
    """What a number was measured on, 0 where that is not known; how much of it the model knew by other names."""
    if not pictures:
        return "on its test part"
    seen = f", {copies} of which it had seen under other names" if copies else " that it had not seen"
    few = ", too few to tell it from chance" if pictures < FEWEST_TESTED else ""
    return f"on {counted(pictures, 'picture')}{seen}{few}"
