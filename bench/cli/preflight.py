"""What can be known before anything starts is said then, once: sets, splits, labels, backbones, tuners."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.core.errors import BenchError, DataError, UsageError
from bench.core.progress import counted
from bench.core.registry import METHODS
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec, Target
from bench.core.split_rules import AUTHORS, folds_of, over_images
from bench.data.locate import LEAST_IMAGES, subset
from bench.data.splits import TRAIN_SHARE, count_of_parts, split_of, too_few_contents, too_many_splits, why_no_folds
from bench.planning.plan import Plan
from bench.planning.presets import PRESETS
from bench.planning.refusals import WHERE_THEY_LIE
from bench.planning.usual import fact_of, preset_options, usual_backbone
from bench.training.orders import batches_per_epoch

if TYPE_CHECKING:
    from bench.data.dataset import Dataset, DatasetSource

Tell = Callable[[str], object]
LEAST_TO_LEARN_FROM = 2
LEAST_AT_RANDOM = 8
"""A fifth of fewer pictures is a single one."""
MANY_CONTENTS = 1000
"""A test part of so many is not so poor that it need be dealt to know it, which takes time."""
Kind = tuple[object, ...]
"""What makes models alike: method, backbone, size, what a test looks at, and options."""


class Size(NamedTuple):
    """How large a set is; 0 where that is not known."""

    contents: int
    pictures: int


def look_ahead(plan: Plan, runtime: Runtime, tell: Tell) -> Plan:
    """The plan once all that could be known of it was looked at; what would fail run by run is refused in one error.

    Where nobody said how many splits, those that a set of few contents lacks are left out, and told of.
    """
    if runtime.log:
        from bench.training.tracking import tracker_named

        tracker_named(runtime.log)  # one that cannot be had is refused before anything begins
    sources = _sources(plan, runtime)
    _check_official_splits(plan, sources)
    _check_authors_splits(plan, sources)
    plan = _with_models_that_fit(plan)
    read, problems = _read(sources, runtime.data)
    sizes = _sizes(sources, read, max(spec.limit for spec in plan.specs), but=problems)
    contents = {name: size.contents for name, size in sizes.items() if size.contents}
    wrong = [*problems.values(), *_few_contents(plan, contents)]
    lacking = _splits_lacking(plan, contents)
    asked_amiss = _without_folds(plan, read, contents) + _small_fractions(plan, sizes)
    asked_amiss += _single_test_pictures(plan, sizes)
    if plan.splits_named:
        asked_amiss += [too_many_splits(name, contents[name], count) for name, count in lacking.items()]
    if wrong:
        raise DataError("\n".join([*wrong, *asked_amiss]))
    asked_amiss = asked_amiss or _test_parts_of_one_score(plan, read, runtime)
    if asked_amiss:
        raise UsageError("\n".join(asked_amiss))
    for line in _never_warm(plan, sizes):
        tell(line)
    return _within(plan, lacking, contents, tell)


def tell_of(plan: Plan, tell: Tell) -> None:
    """What was left out of a plan, and what is said of its runs."""
    if plan.left_out:
        tell(f"Not configured, so left out: {', '.join(plan.left_out)}.")
    for why in plan.unfit:
        tell(f"Left out: {why}.")
    for line in plan.said:
        tell(line)


def _sources(plan: Plan, runtime: Runtime) -> dict[str, DatasetSource]:
    """The loader of every set; missing ones are refused together."""
    from bench.data.locate import source_of

    names = sorted({name for spec in plan.specs for name in spec.datasets})
    sources = {name: source_of(name, runtime.data, runtime.cache, partial=runtime.partial) for name in names}
    missing = [name for name, source in sources.items() if source.folders and not _is_there(source)]
    if missing:
        raise UsageError(
            f"No folder for {', '.join(missing)}. {WHERE_THEY_LIE}, or choose others with --dataset; "
            "`bench data check NAME` says what to get and from whom."
        )
    return sources


def _trained_on(specs: Iterable[RunSpec]) -> list[str]:
    """The sets that some runs are trained on."""
    return sorted({name for spec in specs for name in spec.trained_on})


def _is_there(source: DatasetSource) -> bool:
    return source.place.path is not None and source.place.path.is_dir()


def _check_official_splits(plan: Plan, sources: Mapping[str, DatasetSource]) -> None:
    """Refuse official splits of sets that have none, as their labels say."""
    for name in _trained_on(spec for spec in plan.specs if spec.split_rule == "official"):
        with sources[name].blamed("lacks_official"):
            why = sources[name].lacks_official()
        if why:
            raise UsageError(f"--set split_rule=official: {why}")


def _check_authors_splits(plan: Plan, sources: Mapping[str, DatasetSource]) -> None:
    """Refuse other people's splits of sets that their code does not split, or not twice alike."""
    from bench.data.foreign.authors import why_not

    wishes = {(spec.split_rule, name) for spec in plan.specs if spec.split_rule in AUTHORS for name in spec.trained_on}
    for rule, name in sorted(wishes):
        if why := why_not(rule, sources[name].loaded()):
            raise UsageError(f"--split-rule {rule}: {why}")


def _read(sources: Mapping[str, DatasetSource], data: Mapping[str, Any]) -> tuple[dict[str, Dataset], dict[str, str]]:
    """(the sets that lie on a disk; by set, what is wrong with labels); others are made when they are needed."""
    read, problems = {}, {}
    for name, source in sources.items():
        if source.folders or name in data:
            try:
                read[name] = source.loaded()
            except DataError as error:
                problems[name] = str(error)
    return read, problems


def _sizes(
    sources: Mapping[str, DatasetSource], read: Mapping[str, Dataset], limit: int, but: Collection[str]
) -> dict[str, Size]:
    """How large each set is, but for some: as it was read, or as the class of a made one says."""
    sizes = {}
    for name in (name for name in sources if name not in but):
        groups = read[name].table["group"] if name in read else None
        whole = Size(sources[name].groups, sources[name].images)
        whole = whole if groups is None else Size(groups.nunique(), len(groups))
        sizes[name] = Size(min(whole.contents, limit), min(whole.pictures, limit)) if limit else whole
    return sizes


def _small_fractions(plan: Plan, sizes: Mapping[str, Size]) -> list[str]:
    """What is to be said of shares of a set in which there is next to nothing to learn from."""
    least: dict[str, float] = {}
    for spec in plan.specs:
        for name in spec.trained_on:
            if spec.fraction < TRAIN_SHARE and name in sizes and sizes[name].pictures:
                least[name] = min(least.get(name, 1.0), spec.fraction)
    shares = {name: (fraction, sizes[name].pictures) for name, fraction in least.items()}
    return [
        f"fraction={fraction:g} of the {pictures} pictures of {name} leaves {round(fraction * pictures)} to learn "
        "from: no correlation can be learned from fewer than 2."
        for name, (fraction, pictures) in shares.items()
        if round(fraction * pictures) < LEAST_TO_LEARN_FROM
    ]


def _never_warm(plan: Plan, sizes: Mapping[str, Size]) -> list[str]:
    """What is to be said of trainings that end before the rate has grown to its value."""
    short: dict[str, tuple[int, int]] = {}
    for spec in plan.specs:
        pictures = sum(sizes[name].pictures for name in spec.trained_on if name in sizes)
        part = 1 - 1 / spec.folds if spec.folds and spec.fraction == TRAIN_SHARE else spec.fraction
        share = part if spec.source == "split" else 1.0
        steps = spec.recipe.epochs * batches_per_epoch(round(share * pictures), spec.recipe)
        if pictures and steps <= spec.recipe.warmup and "descent" in str(fact_of(spec.method, "learns")):
            short[spec.train] = steps, spec.recipe.warmup
    return [
        f"{counted(steps, 'step')} of training on {name}, in all of which the rate warms up (warmup={warmup}): "
        "--set epochs=… makes more of them."
        for name, (steps, warmup) in short.items()
    ]


def _splits_lacking(plan: Plan, contents: Mapping[str, int]) -> dict[str, int]:
    """The sets with fewer splits than are planned, and how many they have."""
    last: dict[str, int] = {}
    for spec in plan.specs:
        for name in spec.trained_on:
            if spec.split_rule == "random" and name in contents:
                last[name] = max(last.get(name, 0), spec.split)
    counts = {name: count_of_parts(contents[name]) for name in last if contents[name] >= LEAST_IMAGES}
    return {name: count for name, count in counts.items() if count is not None and count <= last[name]}


def _few_contents(plan: Plan, contents: Mapping[str, int]) -> list[str]:
    """What is to be said of sets that cannot be split at all."""
    split = _trained_on(spec for spec in plan.specs if spec.split_rule == "random")
    return [too_few_contents(name, count) for name, count in contents.items() if name in split and count < LEAST_IMAGES]


def _single_test_pictures(plan: Plan, sizes: Mapping[str, Size]) -> list[str]:
    """What is to be said of sets of so few pictures that a test part is one of them, of which there is no metric."""
    rules = {
        (name, spec.split_rule)
        for spec in plan.specs
        for name in spec.trained_on
        if Target.of(name) in spec.tests and (spec.split_rule == "random" or over_images(spec.split_rule))
    }
    least = {rule: 2 * folds_of(rule) or LEAST_AT_RANDOM for _, rule in rules}
    return [
        f"{name} has {counted(pictures, 'picture')}, and so one to test on, which measures nothing: it takes "
        f"{least[rule]}, or a file that says which are tested (--set split_rule=file:PATH)."
        for name, rule in sorted(rules)
        for contents, pictures in [sizes.get(name, Size(0, 0))]
        if LEAST_IMAGES <= pictures < least[rule] and (over_images(rule) or contents == pictures)
    ]


def _test_parts_of_one_score(plan: Plan, read: Mapping[str, Dataset], runtime: Runtime) -> list[str]:
    """What is to be said of test parts in which there is one picture or one score, of which there is no metric."""
    asked = {
        (name, spec.split_rule, spec.split, spec.limit): spec
        for spec in plan.specs
        for name in spec.trained_on
        if name in read and Target.of(name) in spec.tests and read[name].table["group"].nunique() < MANY_CONTENTS
    }
    poor: dict[str, list[str]] = {}
    for (name, _, split, limit), spec in asked.items():
        dataset = subset(read[name], limit) if 0 < limit < len(read[name]) else read[name]
        with suppress(BenchError):  # a split that cannot be made is said elsewhere
            scores = dataset.table["original"].iloc[split_of(spec, dataset, runtime.results).test]
            if scores.nunique() == 1:
                alike = f" that all have the score {scores.iloc[0]:g}" if len(scores) > 1 else ""
                poor.setdefault(name, []).append(f"split {split} tests {counted(len(scores), 'picture')}{alike}")
    return [
        f"{name}: {first}{f' ({len(others)} more such)' if others else ''}, which measures nothing: "
        "rate more pictures, or say in a file which are tested (--set split_rule=file:PATH)."
        for name, (first, *others) in poor.items()
    ]


def _without_folds(plan: Plan, read: Mapping[str, Dataset], contents: Mapping[str, int]) -> list[str]:
    """What is to be said of sets whose contents cannot be dealt to the folds that were asked for."""
    folded = [spec for spec in plan.specs if spec.folds and not over_images(spec.split_rule)]
    wishes = sorted({(name, spec.folds) for spec in folded for name in spec.trained_on if name in contents})
    named = {name: name not in read or read[name].grouped for name, _ in wishes}
    return [why for name, folds in wishes if (why := why_no_folds(name, contents[name] * named[name], folds))]


def _within(plan: Plan, lacking: Mapping[str, int], contents: Mapping[str, int], tell: Tell) -> Plan:
    """The plan without the splits that sets of few contents do not have."""
    for name, count in lacking.items():
        few = counted(contents[name], "content")
        tell(f"{name} has {few} and so only {count} different test parts: so many splits of it are planned.")
    there = tuple(
        spec
        for spec in plan.specs
        if spec.split_rule != "random"
        or all(spec.split < lacking.get(name, spec.split + 1) for name in spec.trained_on)
    )
    return replace(plan, specs=there) if lacking else plan


def _with_models_that_fit(plan: Plan) -> Plan:
    """The plan without runs of methods that nobody insists on and that do not take their backbone, with why."""
    unfit = check_models(plan.specs, plan.unnamed)
    specs = tuple(spec for spec in plan.specs if _kind(spec) not in unfit)
    why = tuple(dict.fromkeys(reason.removesuffix(".") for reason in unfit.values()))
    if not specs:
        raise UsageError(f"{'. '.join(why)}.")
    return replace(plan, specs=specs, unfit=plan.unfit + why) if unfit else plan


def check_models(specs: Sequence[RunSpec], unnamed: Collection[str] = ()) -> dict[Kind, str]:
    """Refuse backbones, sizes and tuners that methods do not take. What the presets have is known to be sound.

    Of methods that are `unnamed` it is only said which kinds of runs cannot be, and why. What is not known to be sound
    is looked at with torch, which takes seconds to load.
    """
    known = {name for preset in PRESETS.values() for name in (preset.backbone, *preset.scales)}
    known |= {usual_backbone(PRESETS[spec.preset], spec.method) for spec in specs}  # of a method without one, none
    kinds = {_kind(spec): spec for spec in specs}
    strange = {(spec.backbone, spec.recipe.size) for spec in kinds.values() if spec.backbone not in known}
    doubtful = [spec for spec in kinds.values() if spec.backbone not in known or _needs_a_look(spec)]
    doubtful += [spec for spec in kinds.values() if spec.recipe.whole_pictures and spec not in doubtful]
    unfit: dict[Kind, str] = {}
    if not doubtful:
        return unfit
    from bench.models.weightless import refuse_other_backbones, refuse_unbuildable
    from bench.models.whole import refuse_squares

    for backbone, size in sorted(strange):
        refuse_other_backbones(backbone, size)
    for spec in doubtful:
        try:
            refuse_unbuildable(spec)
            refuse_squares(spec)
        except UsageError as error:
            if spec.method not in unnamed:
                raise
            unfit[_kind(spec)] = str(error)
    return unfit


def _kind(spec: RunSpec) -> Kind:
    return spec.method, spec.backbone, spec.recipe.size, spec.recipe.views, *spec.options.items()


def _needs_a_look(spec: RunSpec) -> bool:
    """Whether its options may name what is not there or does not suit the backbone: a tuner of a family, a text that
    was changed, or a number that must divide the width."""
    card = METHODS.card(spec.method)
    usual = {**card.defaults(), **preset_options(PRESETS[spec.preset], spec.method)}
    doubtful = (option.name for option in card.options.values() if option.type == "str" or option.of_width)
    return bool(card.facts.get("family")) or any(spec.options[name] != usual[name] for name in doubtful)
