"""What `sensitivity` turns, one thing at a time, and which runs differ in one of them alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from bench.core.errors import UsageError, suggest
from bench.core.registry import DATASETS, METHODS
from bench.core.spec import Recipe, RunSpec, Scalar
from bench.core.split_rules import other_unit, over_images
from bench.planning.choices import NESTED, chosen_keys
from bench.planning.unusual import with_what_follows
from bench.planning.usual import fact_of

FACTORS = {"× ¼": 0.25, "× 4": 4.0}
CROPS = (1, 15, 25)
LOSSES = ("plcc", "plcc_squared", "l1")
"""One minus the correlation (LoDa's paper), its mixture with the square (LoDa's code), and HyperIQA's."""
EPOCHS = {"last": "last epoch", "val": "epoch by validation", "oracle": "epoch by the test part"}
LARGER = 4 / 3
"""384 pixels become 512, which other papers resize to."""
WHOLE_SIDE = Recipe().short_side
"""What a set in its own size is resized to."""

Changed = Mapping[str, RunSpec]
"""What is said of a changed value, and the run that has it."""


@dataclass(frozen=True)
class Switch:
    """One thing that papers do differently: its name, what it does to a run, and which methods notice."""

    name: str
    title: str
    turned: Callable[[RunSpec], Changed]
    noticed_by: Callable[[str], bool]
    option: str = ""
    """The field of the recipe that it turns; empty where it turns another of the run."""

    def of(self, spec: RunSpec) -> Changed:
        """The runs that differ from this one in the switch alone; none of a method that does not notice it."""
        return self.turned(spec) if self.noticed_by(spec.method) else {}


def _descends(method: str) -> bool:
    return "descent" in str(fact_of(method, "learns"))


def _has_common_head(method: str) -> bool:
    """Whether it scores with the head of the recipe; one that brings its own has nothing to turn."""
    return _descends(method) and (method not in METHODS or "head" not in METHODS.card(method).methods)


def _sees_crops(method: str) -> bool:
    return fact_of(method, "stands_on") in ("vit", "own")


def _is_run(method: str) -> bool:
    """Whether it looks at pictures itself: one that stands on other runs is what they are."""
    return fact_of(method, "stands_on") != "runs"


def _with(spec: RunSpec, **recipe: Scalar) -> RunSpec:
    return replace(spec, recipe=replace(spec.recipe, **recipe))  # type: ignore[arg-type]


def _rates(spec: RunSpec) -> Changed:
    return {f"rate {name}": _with(spec, lr=spec.recipe.lr * factor) for name, factor in FACTORS.items()}


def _crops(spec: RunSpec) -> Changed:
    counts = [count for count in CROPS if count != spec.recipe.test_views]
    return {f"{count} test crop{'s' * (count > 1)}": _with(spec, test_views=count) for count in counts}


def _epochs(spec: RunSpec) -> Changed:
    return {text: _with(spec, selection=rule) for rule, text in EPOCHS.items() if rule != spec.recipe.selection}


def _heads(spec: RunSpec) -> Changed:
    other = "linear" if spec.recipe.head == "cosine" else "cosine"
    return {f"{other} head": _with(spec, head=other)}


def _losses(spec: RunSpec) -> Changed:
    return {f"loss {name}": _with(spec, loss=name) for name in LOSSES if name != spec.recipe.loss}


def _short_sides(spec: RunSpec) -> Changed:
    side = round(LARGER * spec.recipe.short_side) or WHOLE_SIDE
    return {f"short side {side} px": _with(spec, short_side=side)}


def _split_units(spec: RunSpec) -> Changed:
    """The same share of pictures instead of contents, or the other way; nothing where each picture is a content."""
    other = other_unit(spec.split_rule)
    if not other or not all(map(_may_have_contents, spec.trained_on)):
        return {}
    return {f"split by {'image' if over_images(other) else 'content'}": replace(spec, split_rule=other)}


def _precisions(spec: RunSpec) -> Changed:
    other = "bf16" if spec.precision == "fp32" else "fp32"
    return {other: replace(spec, precision=other)}  # type: ignore[arg-type]


@cache
def _may_have_contents(dataset: str) -> bool:
    """Whether pictures of a set may share a content; of a set that is not registered nobody knows beforehand."""
    facts = DATASETS.card(dataset).facts if dataset in DATASETS else {}
    return not facts.get("images") or bool(facts.get("groups"))


SPLIT = Switch("split", "Split", _split_units, _is_run)
SWITCHES = (
    Switch("rate", "Learning rate", _rates, _descends, "lr"),
    Switch("crops", "Test crops", _crops, _sees_crops, "test_views"),
    Switch("plcc", "Raw or mapped PLCC", lambda spec: {}, _is_run),
    Switch("epoch", "Which epoch", _epochs, _descends, "selection"),
    Switch("head", "Head", _heads, _has_common_head, "head"),
    Switch("loss", "Loss", _losses, _descends, "loss"),
    Switch("short_side", "Short side", _short_sides, _sees_crops, "short_side"),
    SPLIT,
    Switch("precision", "Precision", _precisions, _sees_crops),
)
"""In the order of the tables. That of PLCC turns no run: records hold both."""


def chosen_switches(text: str) -> list[Switch]:
    """The switches that a list names; "all" of them, and an unknown one is an error."""
    known = {switch.name: switch for switch in SWITCHES}
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in (*known, "all"):
            raise UsageError(f"switches={text}: there is no switch {name!r}. {suggest(name, known)}")
    if not names:
        raise UsageError(f"switches= names none. There are: {', '.join(known)}.")
    return list(SWITCHES) if "all" in names else [switch for switch in SWITCHES if switch.name in names]


def setting_of(spec: RunSpec) -> RunSpec:
    """What runs have in common that differ in their split only, whatever they are tested on.

    Folds under another seed are more of the same, and what was tuned inside a split differs from split to split.
    """
    tuned = with_what_follows(spec, chosen_keys(spec.recipe_from)[1])
    unseen = {"seed"} if spec.folds else set()
    plain = {name: getattr(Recipe, name) for name in {*tuned, *unseen} if hasattr(Recipe, name)}
    options = {name: value for name, value in spec.options.items() if name not in tuned}
    return replace(spec, split=0, tests=(), options=options, recipe=replace(spec.recipe, **plain))


def turned(base: RunSpec, switches: Iterable[Switch] = SWITCHES) -> Iterator[tuple[Switch, str, RunSpec]]:
    """(switch, what is said of its value, the run) for everything that can be turned about a run."""
    for switch in switches:
        for text, spec in switch.of(base).items():
            yield switch, text, spec


def refuse_tuned(spec: RunSpec, switches: Sequence[Switch]) -> None:
    """What `bench tune` chose cannot be turned: a run would then say that it was chosen. Nor can the split be in which
    it chose: what another split tests on has had a say."""
    origin, tuned = chosen_keys(spec.recipe_from)
    chosen = [switch.name for switch in switches if switch.option in tuned and switch.of(spec)]
    inside = [SPLIT.name] if origin == NESTED and SPLIT in switches and SPLIT.of(spec) else []
    if chosen or inside:
        what = [f"{' and '.join(chosen)}, which bench tune chose for {spec.method}"] if chosen else []
        what += [f"split, inside which bench tune chose for {spec.method}"] if inside else []
        left = ",".join(switch.name for switch in switches if switch.name not in chosen + inside)
        raise UsageError(
            f"sensitivity turns {', and '.join(what)}: leave out --recipe tuned"
            + (f", or --set switches={left}" if left else ".")
        )


def switches_at(settings: Iterable[RunSpec]) -> dict[RunSpec, dict[tuple[Switch, str], RunSpec]]:
    """By a setting that others differ from in one switch: those others. What was turned is no base of its own.

    `settings` come in the order in which they are asked whether they are a base: the plainest first.
    """
    there = list(dict.fromkeys(settings))
    counts = Counter(setting.method for setting in there)
    known, taken = set(there), set[RunSpec]()
    found: dict[RunSpec, dict[tuple[Switch, str], RunSpec]] = {}
    for base in there:
        if base in taken:
            continue
        alone = counts[base.method] == 1  # most are, and hashing what they might be turned into takes time
        others = {} if alone else {(switch, text): spec for switch, text, spec in turned(base) if spec in known}
        taken |= set(others.values())
        found[base] = others
    return found
