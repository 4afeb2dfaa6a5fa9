"""Arms: what is being compared. Records that differ only in split or dataset belong to one arm and one row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from operator import attrgetter

from bench.core.registry import METHODS, stem_of, variant_of
from bench.core.spec import EXTERNAL, SCHEMA, Recipe, RunSpec, Scalar
from bench.planning.choices import chosen_keys
from bench.planning.presets import Preset, preset_named
from bench.planning.unusual import (
    changed_options,
    options_nobody_touched,
    recipe_nobody_touched,
    with_what_follows,
)
from bench.planning.usual import OWN, fact_of, own_recipe, preset_recipe, reads_cnn, usual_backbone
from bench.records.results import Record

Options = tuple[tuple[str, Scalar], ...]

UNSET = "unset"
"""What a table says of an option that its method did not have yet when a run was made."""

CHOSEN = "chosen:"
"""How `recipe_from` of an arm begins whose settings were tuned, wherever that was; tables say "tuned=lr"."""

PAPER_ORDER = ("linear_probe", "full_finetune", "adapter", "lora", "vpt")
PAPER_LAST = ("loda", "glia")
"""The papers' Tables 6 list the strategies in this order, theirs at the end; everything else stands between, and
imported scores last."""


@dataclass(frozen=True)
class Arm:
    """A method with everything that sets it apart. `options` and `recipe` hold only what differs from the preset."""

    method: str
    preset: str
    backbone: str
    options: Options = ()
    recipe: Options = ()
    weights: str = "pretrained"
    cnn_weights: str = "pretrained"
    precision: str = "fp32"
    recipe_from: str = "default"
    split_rule: str = "random"
    budget: int = 0
    limit: int = 0
    schema: int = SCHEMA

    @property
    def plain(self) -> Preset:
        """The preset whose defaults this arm is measured against."""
        return preset_named(self.preset)

    @property
    def external(self) -> bool:
        """Whether it is of imported scores: no setting of a run is its own."""
        return stem_of(self.method) == EXTERNAL

    @property
    def usual_backbone(self) -> str:
        """The ViT that its method stands on where nobody named one; none where it reads none."""
        return usual_backbone(self.plain, self.method)

    @property
    def tuned(self) -> bool:
        """Whether some of its settings were found by tuning; it is one of its changes."""
        return self.recipe_from.startswith(CHOSEN)

    @property
    def title(self) -> str:
        """The method's name as the papers spell it."""
        return method_title(self.method)

    def label(self, shared: Collection[str] = ()) -> str:
        """Its title with everything that was changed, but for what all arms beside it share."""
        return ", ".join([self.title, *(c for c in self.option_changes() + self.run_changes() if c not in shared)])

    def option(self, name: str, default: Scalar) -> Scalar:
        """The value of an option, `default` where the arm does not change it."""
        return dict(self.options).get(name, default)

    def without_options(self, *names: str) -> Arm:
        """The same arm as if these options had not been touched: a variant's own base."""
        return replace(self, options=tuple((k, v) for k, v in self.options if k not in names))

    def option_changes(self) -> tuple[str, ...]:
        """The method's options that were changed, as "name=value"."""
        return tuple(f"{name}={value_text(value)}" for name, value in self.options)

    def run_changes(self) -> tuple[str, ...]:
        """Everything else that was changed from the preset, as "name=value"."""
        if self.external:
            return ()
        changes = [f"{name}={value_text(value)}" for name, value in self.recipe]
        usual: dict[str, Scalar] = {"backbone": self.usual_backbone, "weights": "pretrained"}
        usual |= {"cnn_weights": "pretrained"}
        usual |= {"precision": "fp32", "recipe_from": "default", "schema": SCHEMA}
        changed = {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        if self.tuned:
            changed["tuned"] = changed.pop("recipe_from").removeprefix(CHOSEN)
        changes += [f"{name}={value}" for name, value in changed.items()]
        changes += [
            f"split_rule={rule}" for rule in (self.split_rule,) if rule not in ("random", self.plain.split_rule)
        ]
        changes += [f"{name}={value}" for name in ("budget", "limit") if (value := getattr(self, name))]
        return tuple(changes)

    def changes_beside_backbone(self) -> tuple[str, ...]:
        """The same without the ViT it stands on."""
        return tuple(change for change in self.run_changes() if not change.startswith("backbone="))

    def has(self, change: str) -> bool:
        """Whether its runs have a setting that some arm changed: the preset may give its method that very value.

        No setting tells imported scores from others: they have none.
        """
        if self.external:
            return True
        name, _, value = change.partition("=")
        if name in _unread(self.method):
            return True
        own = _own_recipe(self.preset, self.method, self.recipe_from)
        preset_gives = name in own and name not in dict(self.recipe) and value_text(own[name]) == value
        return preset_gives or change in self.run_changes()

    def order(self) -> tuple[object, ...]:
        """Where the arm stands in a table: as in the papers, plain arms before changed ones."""
        stem = stem_of(self.method)
        if stem in PAPER_ORDER:
            place = PAPER_ORDER.index(stem)
        elif stem in PAPER_LAST:
            place = 100 + PAPER_LAST.index(stem)
        elif self.external:
            place = 200
        else:
            place = 50
        changes = self.run_changes() + self.option_changes()
        return place, self.method, self.backbone != self.usual_backbone, len(changes), changes


def shared_changes(arms: Sequence[Arm]) -> tuple[str, ...]:
    """What at least one arm changed from the preset and holds for all of them, in the order of its first mention."""
    changes = dict.fromkeys(change for arm in arms for change in arm.run_changes())
    return tuple(change for change in changes if all(arm.has(change) for arm in arms))


def arms_of(records: Iterable[Record]) -> dict[Record, Arm]:
    """The arm of every record."""
    known = list(records)
    unregistered = _common_options(record for record in known if record.spec.method not in METHODS)
    shared: dict[tuple[object, ...], Arm] = {}
    arms = {}
    for record in known:
        own = _own_fields(record.spec)
        arm = shared.get(own)
        if arm is None:
            arm = shared[own] = _arm(record.spec, unregistered)
        arms[record] = arm
    return arms


def arm_of(spec: RunSpec) -> Arm:
    """The arm of a run that is only planned."""
    return _arm(spec, {})


_PLAIN_FIELDS = attrgetter(
    *(f.name for f in fields(RunSpec) if f.name not in ("options", "recipe", "split", "tests", "fraction", "source"))
)


def _own_fields(spec: RunSpec) -> tuple[object, ...]:
    """All that an arm is made from: where it is equal the arm is, and need be made once only.

    Records that differ in their split share one recipe, which is told by its identity: hashing it takes longer.
    """
    return (id(spec.recipe), *_PLAIN_FIELDS(spec), *spec.options.items())


@cache
def method_title(name: str) -> str:
    """A method's title from its card, or its name where it has none (a variant, or a plugin that is not loaded)."""
    if stem_of(name) == EXTERNAL:
        return f"{variant_of(name)} (external)"
    if ":" in name or name not in METHODS:
        return name
    return str(METHODS.card(name).facts["title"] or name)


def _arm(spec: RunSpec, unregistered: Mapping[str, Mapping[str, Scalar]]) -> Arm:
    defaults = options_nobody_touched(spec)
    if defaults is None:
        defaults = unregistered.get(spec.method, {})
    usual = recipe_nobody_touched(spec)
    _, tuned = chosen_keys(spec.recipe_from)
    chosen = with_what_follows(spec, tuned)
    unseen = {*chosen, "seed"} if spec.folds else chosen  # another seed of k-fold is more of the same, in the same row
    return Arm(
        method=spec.method,
        preset=spec.preset,
        backbone=spec.backbone,
        options=_without(_changed_options(spec.options, defaults), chosen),
        recipe=() if spec.external or spec.recipe == usual else _without(_changed(spec.recipe, usual), unseen),
        weights=spec.weights,
        cnn_weights=spec.cnn_weights,
        precision=spec.precision,
        recipe_from=f"{CHOSEN}{'+'.join(tuned)}" if tuned else spec.recipe_from,
        split_rule=_split_rule(spec),
        budget=spec.budget,
        limit=spec.limit,
        schema=spec.schema,
    )


def _split_rule(spec: RunSpec) -> str:
    """The preset's own rule where a set is split as it is under that preset when nobody says, else the run's."""
    preset = preset_named(spec.preset)
    return preset.split_rule if spec.split_rule == preset.rule_for(spec.train) else spec.split_rule


def _without(options: Options, names: Collection[str]) -> Options:
    """The options but for some that differ from split to split and make no arm of its own: those chosen by tuning, and
    what follows from them."""
    return tuple((name, value) for name, value in options if name not in names)


def _changed_options(options: Mapping[str, Scalar], defaults: Mapping[str, Scalar]) -> Options:
    """The options that are not as they would be today; one that came later was never set to today's default."""
    changed = changed_options(options, defaults) | {name: UNSET for name in defaults if name not in options}
    return tuple(sorted(changed.items()))


@cache
def _own_recipe(preset: str, method: str, recipe_from: str) -> Mapping[str, Scalar]:
    """What a recipe has for one method alone: from the method's paper, or because the preset says so."""
    return own_recipe(method) if recipe_from == OWN else preset_recipe(preset_named(preset), method)


@cache
def _unread(method: str) -> frozenset[str]:
    """Which networks of a run a method does not read: whatever is said of them holds for its runs too."""
    unread = {"own": {"backbone"}, "nothing": {"backbone", "weights"}}.get(fact_of(method, "stands_on"), set())
    return frozenset(unread if reads_cnn(method) else unread | {"cnn_weights"})


@cache
def _changed(recipe: Recipe, usual: Recipe) -> Options:
    return tuple(recipe.unlike(usual).items())


def _common_options(records: Iterable[Record]) -> dict[str, Mapping[str, Scalar]]:
    """For methods without a card: what all their records agree on counts as the default."""
    common: dict[str, dict[str, Scalar]] = {}
    for record in records:
        options = dict(record.spec.options)
        known = common.setdefault(record.spec.method, options)
        common[record.spec.method] = {k: v for k, v in known.items() if k in options and options[k] == v}
    return dict(common)


def value_text(value: Scalar) -> str:
    """A changed value as rows and labels name it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def count_text(count: float) -> str:
    """A parameter count as the papers print it: 8.05M, 295K, 768."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"
