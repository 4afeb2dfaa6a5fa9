"""From what a user typed to the runs that are wanted: methods, options, protocols, presets. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.core.cards import Option
from bench.core.errors import UsageError
from bench.core.mixes import is_mix, sets_of
from bench.core.registry import METHODS, PROTOCOLS
from bench.core.spec import RunSpec, Scalar, recipe_options
from bench.core.split_rules import is_fixed, splits_in
from bench.data.locate import LEAST_IMAGES, loader_name
from bench.planning.asking import runs_of, said_by
from bench.planning.budgets import parse_count, size_to_budget, sized_to
from bench.planning.choices import Choices
from bench.planning.files import weights_token, with_tokens, without_fileless
from bench.planning.fitting import recipe_value
from bench.planning.members import in_order, stands_on_runs, without_misled
from bench.planning.presets import Preset, preset_named
from bench.planning.protocol import MethodChoice, Request, merge
from bench.planning.refusals import (
    Wanted,
    idle_methods,
    refuse_what_is_dropped,
    refuse_what_no_table_shows,
    why_no_part_of_folds,
)
from bench.planning.setting_texts import RECIPE, SPEC_SETTINGS, parsed, several, unknown
from bench.planning.unfit import without_unfit
from bench.planning.usual import idle_warmup
from bench.planning.which_sets import WhichSets, sets_here


@dataclass(frozen=True)
class Ask:
    """A `bench run` command line, parsed but not yet resolved."""

    methods: Sequence[str]
    protocols: Sequence[str]
    preset: str
    backbone: str = ""
    datasets: Sequence[str] = ()
    splits: int = 0
    seeds: int = 0
    limit: int = 0
    settings: Sequence[str] = ()
    file: Settings = field(default_factory=lambda: Settings())
    """What bench.toml sets in the recipe and for methods; flags go before it."""
    weights: str = "pretrained"
    cnn_weights: Path | None = None
    precision: str = "fp32"
    selection: str = ""
    budget: str = ""
    tuned: Choices = field(default_factory=Choices)
    own_recipes: bool = False
    """Whether methods train by the recipes of their own papers."""
    train_on: Sequence[str] = ()
    test_on: Sequence[str] = ()
    standing: frozenset[str] = frozenset()
    """What of all this nobody typed: it stands in bench.toml, for whatever takes it."""
    data: Mapping[str, Any] | None = None
    """What bench.toml says of sets; None: whatever a protocol names is taken to be there."""


@dataclass(frozen=True)
class Plan:
    """The wanted runs, equal trainings merged, and the protocols that asked for them."""

    specs: tuple[RunSpec, ...]
    protocols: tuple[str, ...]
    preset: Preset
    weight_files: Mapping[str, Path] = field(default_factory=dict)
    asked_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Training key → the protocols that asked for it."""
    left_out: tuple[str, ...] = ()
    """The protocols' own sets that are not configured."""
    splits_named: bool = False
    """Whether the user said how many splits; else it is the preset's number."""

    @property
    def looks_for_shared_pictures(self) -> bool:
        """Whether one of its protocols wants to know of pictures that training and test sets share, unasked."""
        return any(PROTOCOLS.card(name).facts["looks_for_shared_pictures"] for name in self.protocols)

    unfit: tuple[str, ...] = ()
    """Which runs were left out, and why they cannot be."""
    said: tuple[str, ...] = ()
    """What its protocols say of their runs."""
    unnamed: frozenset[str] = frozenset()
    """The methods that are there because all were asked for: nobody insists on one of them."""


def make_plan(ask: Ask) -> Plan:
    """Resolve a command line into runs; whatever is unknown is named, with what was probably meant."""
    preset = preset_named(ask.preset)
    names = [PROTOCOLS.target(name) and name for name in ask.protocols]
    methods = expand_methods(ask.methods)
    settings = sort_settings(ask.settings, methods, names)
    ask, named_files = _with_tokens(ask, settings)
    methods, fileless = without_fileless(methods, ask.methods, merged(ask.file.methods, settings.methods))
    files, request = _request(ask, preset, names, methods, settings)
    refuse_what_no_table_shows(names, request)
    request, unsized = _sized(ask, request, names)
    planned = [
        (name, runs_of(name, seeded, settings.protocols.get(name, {})))
        for seeded in _seeded(request, ask.seeds or preset.seeds)
        for name in names
    ]
    typed_sets = (*ask.datasets, *ask.train_on, *ask.test_on)
    planned, unfit = without_unfit(planned, ask.methods, typed_sets, ask.data or {})
    planned, misled = without_misled(planned, ask.methods)
    by_protocol = {name: [spec for n, specs in planned if n == name for spec in specs] for name in names}
    refuse_what_is_dropped(by_protocol, Wanted(request, settings.protocols, runs_of), ask.methods)
    idle = idle_methods(ask.methods, by_protocol) if "method" in ask.standing else []
    specs = [spec for _, some in planned for spec in some]
    _refuse_parts_that_are_none(specs)
    return Plan(
        tuple(merge(specs)),
        tuple(names),
        preset,
        files | named_files,
        asked_by=_asked_by(by_protocol),
        left_out=tuple(sorted(request.sets.left_out)),
        splits_named=bool(ask.splits),
        unfit=(*fileless, *unsized, *unfit, *misled, *idle),
        said=(
            *_said_of_splits(ask, request),
            *idle_warmup(specs, request.recipe, request.recipes),
            *(
                line
                for name in names
                for line in said_by(name, request, settings.protocols.get(name, {}), by_protocol[name])
            ),
        ),
        unnamed=frozenset(methods) - set(ask.methods) if "all" in ask.methods else frozenset(),
    )


def _said_of_splits(ask: Ask, request: Request) -> list[str]:
    """That bench.toml asks for more splits than there are, where nobody typed a number."""
    if "splits" not in ask.standing or ask.splits <= request.splits:
        return []
    return [f"bench.toml asks for {ask.splits} splits, and there are {request.splits} by the sets' split_rule."]


def _with_tokens(ask: Ask, settings: Settings) -> tuple[Ask, dict[str, Path]]:
    """The same with options spelled in one way: hashes in the place of the files that they name; and the files."""
    settings.methods, typed = with_tokens(in_order(settings.methods))
    written, files = with_tokens(in_order(ask.file.methods))
    return replace(ask, file=replace(ask.file, methods=written)), files | typed


def merged(
    file: Mapping[str, Mapping[str, Scalar]], flags: Mapping[str, Mapping[str, Scalar]]
) -> dict[str, dict[str, Scalar]]:
    """By method, the options that bench.toml and flags set; flags go before it."""
    return {name: {**file.get(name, {}), **flags.get(name, {})} for name in {*file, *flags}}


def _request(
    ask: Ask, preset: Preset, names: Sequence[str], methods: Sequence[str], settings: Settings
) -> tuple[dict[str, Path], Request]:
    """What protocols are asked to plan, and the weights files that are named; impossible wishes are refused."""
    files, token = weights_token(ask.weights)
    if ask.cnn_weights is not None:
        cnn_files, cnn_token = weights_token(str(ask.cnn_weights.resolve()), "--cnn-weights")
        files["cnn"] = cnn_files[cnn_token]
        settings.spec["cnn_weights"] = cnn_token
    common: dict[str, Any] = {"weights": token, "precision": ask.precision, "limit": ask.limit} | settings.spec
    if ask.backbone:
        common["backbone"] = ask.backbone
    if ask.selection:
        settings.recipe["selection"] = recipe_options()["selection"].parse(ask.selection)
    if 0 < ask.limit < LEAST_IMAGES:
        raise UsageError(f"--limit {ask.limit} leaves nothing to split: use at least {LEAST_IMAGES} images.")
    trained = ask.train_on or ask.datasets or preset.main
    rules = {str(settings.spec.get("split_rule", preset.rule_for(name))) for name in trained}
    known = min(map(splits_in, rules))
    splits = min([ask.splits, *filter(None, map(splits_in, rules))]) if "splits" in ask.standing else ask.splits
    return files, Request(
        preset=preset,
        methods=tuple(MethodChoice(name, merged(ask.file.methods, settings.methods).get(name, {})) for name in methods),
        datasets=tuple(dict.fromkeys(part for name in ask.datasets for part in sets_of(name))),
        sets=_sets(ask, preset, names),
        splits=splits or known or preset.splits,
        recipe={**ask.file.recipe, **settings.recipe},
        recipes=recipes_of_methods(ask.file, settings),
        options=ask.file.methods,
        standing=ask.standing | _in_the_file(ask.file, settings),
        common=common | ({"budget": parse_count(ask.budget)} if ask.budget else {}),
        tuned=ask.tuned,
        own_recipes=ask.own_recipes,
        sizer=size_to_budget,
        native=native_size,
    )


def _in_the_file(file: Settings, typed: Settings) -> set[str]:
    """What of the recipes nobody typed, as "recipe.KEY" and "METHOD.KEY"."""
    flags: dict[str, Mapping[str, Scalar]] = {RECIPE: typed.recipe, **typed.recipes}
    written = {RECIPE: file.recipe, **file.recipes}
    return {f"{owner}.{key}" for owner, own in written.items() for key in own if key not in flags.get(owner, {})}


def _sized(ask: Ask, request: Request, protocols: Sequence[str]) -> tuple[Request, list[str]]:
    """The request with its methods sized where a budget is asked for, and which of them cannot be."""
    if not ask.budget or (not request.methods and set(protocols) == {"strategies_matched"}):
        return request, []
    if not request.methods:
        raise UsageError("--budget sizes the methods that are named: say which with --method.")
    budget = parse_count(ask.budget)
    methods, said = sized_to(budget, request.methods, ask.methods, request.preset, ask.backbone, size_to_budget)
    return replace(request, methods=tuple(methods)), said


def _sets(ask: Ask, preset: Preset, protocols: Sequence[str]) -> WhichSets:
    """The sets that a plan may be about; a name that nobody knows is an error."""
    if ask.train_on or ask.test_on:
        single = [name for name in protocols if not PROTOCOLS.card(name).facts.get("pairs")]
        if single:
            pairing = ", ".join(name for name in PROTOCOLS.names() if PROTOCOLS.card(name).facts.get("pairs"))
            verb = "does" if len(single) == 1 else "do"
            raise UsageError(
                f"--train-on and --test-on are for protocols that pair sets ({pairing}); {', '.join(single)} {verb} "
                "not: name sets with --dataset."
            )
    _refuse_mixes(ask, protocols)
    named = WhichSets(sources=tuple(ask.train_on), targets=tuple(ask.test_on))
    if ask.data is None:
        return named
    for name in (part for typed in (*ask.datasets, *ask.train_on, *ask.test_on) for part in sets_of(typed)):
        loader_name(name, ask.data)
    own, absent = sets_here(ask.data, preset.sets)
    return replace(named, own=own, absent=absent)


def _refuse_mixes(ask: Ask, protocols: Sequence[str]) -> None:
    """Several sets as one are for protocols that mix sets, and nothing is tested on them as one."""
    if mixed := [name for name in ask.test_on if is_mix(name)]:
        raise UsageError(f"--test-on {mixed[0]}: a model is tested on one set at a time: write a comma for each +.")
    mixed = [name for name in (*ask.train_on, *ask.datasets) if is_mix(name)]
    single = [name for name in protocols if not PROTOCOLS.card(name).facts.get("mixes")]
    if mixed and single:
        raise UsageError(
            f"{mixed[0]} is several sets that are trained on together: --protocol joint does that, and "
            f"{', '.join(single)} {'does' if len(single) == 1 else 'do'} not."
        )


def _asked_by(by_protocol: Mapping[str, Sequence[RunSpec]]) -> dict[str, tuple[str, ...]]:
    askers: dict[str, tuple[str, ...]] = {}
    for name, specs in by_protocol.items():
        for key in dict.fromkeys(spec.training_key for spec in specs):
            askers[key] = (*askers.get(key, ()), name)
    return askers


def _refuse_parts_that_are_none(specs: Sequence[RunSpec]) -> None:
    """A share of a training part that is taken as it is, or that would be the whole of it, is refused."""
    fixed = {(spec.split_rule, spec.fraction, spec.source) for spec in specs if is_fixed(spec.split_rule)}
    if fixed:
        from bench.data.splits import refuse_part_of_fixed
    for split_rule, fraction, source in sorted(fixed):
        refuse_part_of_fixed(split_rule, fraction, source)
    if why := next(filter(None, map(why_no_part_of_folds, specs)), ""):
        raise UsageError(f"fraction={why}")


def _seeded(request: Request, seeds: int) -> list[Request]:
    """The request once for each seed, one after the other, so that an early end leaves whole comparisons."""
    if seeds == 1:
        return [request]
    recipe, own = {"seed": 0, **request.recipe}, request.recipes
    later = [{name: _later(own[name], i) for name in own} for i in range(seeds)]
    standing = request.standing if "seed" in request.recipe else request.standing | {f"{RECIPE}.seed"}
    return [replace(request, recipe=_later(recipe, i), recipes=each, standing=standing) for i, each in enumerate(later)]


def _later(recipe: Mapping[str, Scalar], more: int) -> dict[str, Scalar]:
    """What a recipe changes, with a later seed where it names one."""
    return {**recipe, **({"seed": int(recipe["seed"]) + more} if "seed" in recipe else {})}


def expand_methods(names: Sequence[str]) -> list[str]:
    """Method names in the order asked, "all" spelled out (families such as peft:NAME are asked for by name)."""
    expanded: list[str] = []
    for name in names:
        every = [m for m in METHODS.names() if not METHODS.card(m).facts["family"]]
        for method in every if name == "all" else [name]:
            METHODS.target(method)
            if method not in expanded:
                expanded.append(method)
    return sorted(expanded, key=stands_on_runs)  # those after the runs that they read


@dataclass
class Settings:
    """`--set` values, each with whom it concerns."""

    recipe: dict[str, Any] = field(default_factory=dict)
    recipes: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    """What one method alone changes in the recipe."""
    spec: dict[str, Any] = field(default_factory=dict)
    methods: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    protocols: dict[str, dict[str, Scalar]] = field(default_factory=dict)


def recipes_of_methods(file: Settings, flags: Settings) -> dict[str, dict[str, Scalar]]:
    """What single methods change in the recipe; a flag for all methods goes before what the file says of one."""
    own = {name: {k: v for k, v in recipe.items() if k not in flags.recipe} for name, recipe in file.recipes.items()}
    return {name: {**own.get(name, {}), **flags.recipes.get(name, {})} for name in {*own, *flags.recipes}}


def sort_settings(texts: Sequence[str], methods: Sequence[str], protocols: Sequence[str]) -> Settings:
    """Give every `key=value` or `owner.key=value` to the recipe, the run, a method or a protocol."""
    settings = Settings()
    for text in texts:
        owner, key, value = parsed(text)
        try:
            taken = _take(settings, owner, key, value, methods, protocols)
        except UsageError as error:
            raise UsageError(f"{error}{several(text)}") from None
        if not taken:
            raise UsageError(unknown(owner, key, methods, protocols))
    return settings


def keys_set_for(ask: Ask, method: str) -> set[str]:
    """What a command line and bench.toml set of a method's options and its recipe."""
    flags = sort_settings(ask.settings, expand_methods(ask.methods), ask.protocols)
    recipe = {**ask.file.recipe, **flags.recipe} | ({"selection": ask.selection} if ask.selection else {})
    own = [part.get(method, {}) for each in (ask.file, flags) for part in (each.recipes, each.methods)]
    return {key for settings in (recipe, *own) for key in settings}


def _take(
    settings: Settings, owner: str, key: str, value: str, methods: Sequence[str], protocols: Sequence[str]
) -> bool:
    """Put a value where it belongs, or everywhere where no owner is named; whether anybody knows the key."""
    recipe, taken = recipe_options(), False
    if owner in ("", RECIPE) and key in recipe:
        settings.recipe[key], taken = recipe_value(recipe[key], value), True
    for kind, registry, into in ((methods, METHODS, settings.methods), (protocols, PROTOCOLS, settings.protocols)):
        for name in kind:
            options = registry.card(name).options
            if key in options and owner in ("", name):
                into.setdefault(name, {})[key] = options[key].parse(value)
                taken = True
    if not taken and owner in methods and key in recipe:
        settings.recipes.setdefault(owner, {})[key], taken = recipe_value(recipe[key], value), True
    if taken and not owner and key in SPEC_SETTINGS:
        _refuse_half_of_it(key, value, protocols)
    if not taken and not owner and key in SPEC_SETTINGS:
        settings.spec[key], taken = Option(key, SPEC_SETTINGS[key], None).parse(value), True
    return taken


def _refuse_half_of_it(key: str, value: str, protocols: Sequence[str]) -> None:
    """A field of runs that some of the protocols have as an option would be set for their runs alone."""
    takers = [name for name in protocols if key in PROTOCOLS.card(name).options]
    others = [name for name in protocols if name not in takers]
    if takers and others:
        typed = " and ".join(f"--set {name}.{key}={value}" for name in takers)
        raise UsageError(
            f"--set {key}={value} would be for {' and '.join(takers)} alone: write {typed}, or ask for "
            f"{', '.join(others)} in a command of its own."
        )


def native_size(backbone: str) -> int:
    """The size that a backbone was pretrained at; it loads torch, so only a plan that needs it asks."""
    from bench.models.weights import load

    return load.native_size(backbone)
