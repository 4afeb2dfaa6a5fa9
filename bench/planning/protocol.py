"""What a protocol is: it asks for runs and lays out tables, and knows nothing of how either is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from bench.core.cards import Bound, Card
from bench.core.errors import UsageError
from bench.core.mixes import EQUAL, sets_of
from bench.core.registry import METHODS
from bench.core.spec import Recipe, RunSpec, Scalar, Target, recipe_options
from bench.planning.choices import NESTED, Choices, origin_text
from bench.planning.fitting import check_size, fitted, with_native_size
from bench.planning.presets import Preset
from bench.planning.setting_texts import RECIPE
from bench.planning.usual import (
    OWN,
    own_recipe,
    preset_options,
    refuse_foreign_recipe,
    usual_backbone,
    usual_recipe,
    what_is_read,
)
from bench.planning.which_sets import WhichSets

if TYPE_CHECKING:
    from bench.records.results import Results
    from bench.report.table import Table


T = TypeVar("T")


def _targets(tests: Sequence[str]) -> tuple[Target, ...]:
    """What a protocol tests on; a name that is none is found here, not by every run."""
    if isinstance(tests, str):
        raise TypeError(f"tests are a list, as in ['{tests}'], not one text")
    try:
        return tuple(map(Target.parse, tests))
    except UsageError as error:
        raise ValueError(str(error).rstrip(".")) from None


def _items(values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items()))


def _has_its_own(asked: str, value: str) -> str:
    return f"{asked} was asked for, and the protocol has its own: {value}. Leave one of them out."


Sizer = Callable[[str, Mapping[str, Scalar], str, int], Mapping[str, Scalar]]
"""(method, options, backbone, budget) → options of that size."""

UNASKED = {name: getattr(RunSpec, name) for name in ("weights", "precision", "limit")}
"""What stands in `Request.common` where nobody asked for anything."""


@dataclass(frozen=True)
class MethodChoice:
    """A method with the options it is asked for; `label` names its row."""

    name: str
    options: Mapping[str, Scalar] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True)
class Request:
    """What the user asked for, with every default filled in: a protocol turns it into runs."""

    preset: Preset
    methods: tuple[MethodChoice, ...] = ()
    datasets: tuple[str, ...] = ()
    """The sets that the user named."""
    splits: int = 10
    recipe: Mapping[str, Scalar] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    """What the user set in the recipe of one method alone."""
    options: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    """What bench.toml sets of the options of methods, for those that a protocol chooses itself."""
    common: Mapping[str, Any] = field(default_factory=dict)
    standing: frozenset[str] = frozenset()
    """What of `common` and, as "recipe.lr" and "glia.lr", of the recipe nobody typed: a protocol that has its own goes
    before it."""
    tuned: Choices = field(default_factory=Choices)
    own_recipes: bool = False
    """Whether every method whose paper has a recipe of its own is trained by that."""
    sizer: Sizer | None = None
    """Solves a method's options for a budget; given from outside, because it has to load torch."""
    native: Callable[[str], int] | None = None
    """Says what size a backbone was pretrained at; given from outside for the same reason."""
    sets: WhichSets = field(default_factory=WhichSets)
    """What else is known of sets: pairs that were named, the user's own, what there is."""
    _known: dict[tuple[Any, ...], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def wanted(self, defaults: Sequence[str], *, own: bool = True) -> list[str]:
        """The sets to run on: those the user named, else the protocol's own that are there, and the user's own."""
        return self._which.of(defaults, own=own)

    def paired(self, defaults: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The pairs (trained on, tested on) for a protocol that pairs sets; it says so with `pairs = True`."""
        return self._which.pairs(defaults)

    def mixed(
        self, defaults: Sequence[str], targets: Sequence[str], shares: str = EQUAL
    ) -> list[tuple[str, list[str]]]:
        """(sets trained on together, others tested on) for a protocol that mixes sets (`mixes = True`)."""
        return self._which.mixes(defaults, targets, shares)

    @property
    def _which(self) -> WhichSets:
        return replace(self.sets, named=self.datasets, left_out=self.sets.left_out)

    def chosen(self, *defaults: str) -> tuple[MethodChoice, ...]:
        """The methods the user named, else the protocol's own."""
        return self.methods or tuple(MethodChoice(name, self.options.get(name, {})) for name in defaults)

    def about(self, method: str) -> tuple[MethodChoice, ...]:
        """For a protocol about one method: that method as the user chose it, or nothing if it was left out."""
        return tuple(choice for choice in self.chosen(method) if choice.name == method)

    def spec(self, method: MethodChoice, train: str, tests: Sequence[str], split: int, **changes: Any) -> RunSpec:
        """One run under this request: the usual recipe, then the tuned one, then what the user set."""
        if not isinstance(method, MethodChoice):
            raise TypeError(f"the method is one of request.chosen(), or MethodChoice('ridge'), not {method!r}")
        in_recipe = changes.pop("recipe", {})
        asked = (method.name, train, _items(changes))
        whole = self._once(("read", *asked), lambda: self._read(method.name, train, changes))
        chosen, origin = self._chosen(method, train, tests, split, whole)
        settled_by = ("settled", *asked, _items(in_recipe), _items(method.options), _items(chosen), origin)
        settled = self._once(settled_by, lambda: self._settled(method, train, whole, in_recipe, chosen, origin))
        targets = self._once(("targets", *tests), lambda: _targets(tests))
        first = self._once((*settled_by, targets), lambda: RunSpec(tests=targets, split=split, **settled))
        return first.in_split(split)

    def _once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What all splits of a method on a set have alike: thousands of runs are planned, of a few kinds."""
        if key not in self._known:
            self._known[key] = make()
        known: T = self._known[key]
        return known

    def _read(self, method: str, train: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The networks that a run reads, and everything else of it that is asked for outside of recipe and options."""
        usual = {"backbone": usual_backbone(self.preset, method), "split_rule": self.preset.rule_for(train)}
        for name, value in changes.items():
            asked = UNASKED.get(name) if name in self.standing else self.common.get(name)
            if asked not in (None, value, UNASKED.get(name)):
                raise UsageError(_has_its_own(f"{name}={asked}", f"{name}={value}"))
        return what_is_read(method, {**usual, **self.common, **changes})

    def _settled(
        self,
        method: MethodChoice,
        train: str,
        whole: Mapping[str, Any],
        in_recipe: Mapping[str, Scalar],
        chosen: Mapping[str, Scalar],
        origin: str,
    ) -> dict[str, Any]:
        """Everything of a run but what it is tested on and its split."""
        self._refuse_another_recipe(method.name, in_recipe)
        fixed = {**self.recipe, **self.recipes.get(method.name, {}), **in_recipe}
        _refuse_half_of_what_was_chosen(method, chosen, fixed, sized=bool(whole.get("budget")))
        own = self.own_recipes and bool(own_recipe(method.name))
        usual = usual_recipe(self.preset, train, method.name, own=own)
        asked = {name: value for name, value in chosen.items() if name in recipe_options()} | fixed
        settled = Recipe(**with_native_size({**usual, **asked}, usual, asked, whole["backbone"], self._native))
        if foreign := refuse_foreign_recipe(method.name, settled):
            raise UsageError(foreign)
        check_size(whole["backbone"], settled.size)
        about = {
            "method": method.name,
            "train": train,
            "options": self._checked_options(method, chosen, whole["backbone"], settled.size),
            "recipe": settled,
            "recipe_from": OWN if own else origin_text(origin, set(chosen) - set(fixed) - set(method.options)),
            "preset": self.preset.name,
        }
        return {**about, **whole}

    def _refuse_another_recipe(self, method: str, in_recipe: Mapping[str, Scalar]) -> None:
        """What was typed of a recipe is not dropped where a protocol has its own."""
        of_one = self.recipes.get(method, {})
        for name, value in in_recipe.items():
            owner, asked = (method, of_one[name]) if name in of_one else (RECIPE, self.recipe.get(name, value))
            if asked != value and f"{owner}.{name}" not in self.standing:
                raise UsageError(_has_its_own(f"{owner}.{name}={asked}", f"{name}={value}"))

    def _native(self, backbone: str) -> int:
        """What size a backbone was pretrained at."""
        if self.native is None:
            raise UsageError("size=native is for runs: give a number here.")
        return self.native(backbone)

    def method_options(self, method: MethodChoice) -> dict[str, Scalar]:
        """A method's options: its own defaults, the preset's, then the asked ones."""
        return self._options(method, {})[1]

    def _chosen(
        self, method: MethodChoice, train: str, tests: Sequence[str], split: int, whole: Mapping[str, Any]
    ) -> tuple[Mapping[str, Scalar], str]:
        """What was tuned for a run, and where; what has seen what the run is tested on is refused."""
        tested = {Target(target).dataset for target in tests} - {train}
        chosen, origin = self.tuned.of(method.name, train, tested, split)
        rules = {name: self.preset.rule_for(name) for name in sets_of(train)}
        split_otherwise = [name for name, rule in rules.items() if rule != whole["split_rule"]]
        if origin == NESTED and (whole.get("limit") or split_otherwise):
            mixed = len(set(rules.values())) > 1  # no flag splits each of these sets as it was tuned
            raise UsageError(
                f"{method.name} was tuned inside the preset's splits of the whole of "
                f"{(split_otherwise or [train])[0]}: in other splits of it that choice has seen test parts. Leave out "
                "--recipe tuned" + ("." if mixed else ", or --limit and --set split_rule.")
            )
        return chosen, origin

    def _checked_options(
        self, method: MethodChoice, chosen: Mapping[str, Scalar], backbone: str, size: int
    ) -> dict[str, Scalar]:
        """A run's options; sizes that make no sense are refused here, before anything is trained."""
        card, options = self._options(method, chosen)
        try:
            card.check(options)
            return fitted(card, options, {*method.options, *chosen}, backbone, size)
        except UsageError as error:
            raise UsageError(f"{method.name}: {error}") from None

    def _options(self, method: MethodChoice, chosen: Mapping[str, Scalar]) -> tuple[Card, dict[str, Scalar]]:
        """A method's card (to be read once: thousands of runs are planned) and its options."""
        card = METHODS.card(method.name)
        known = card.defaults()
        preset = preset_options(self.preset, method.name)
        unknown = sorted(set(method.options) - set(known))
        if unknown:
            raise UsageError(f"{method.name} has no option {', '.join(unknown)}; it has: {', '.join(known) or 'none'}.")
        tuned = {name: value for name, value in chosen.items() if name in known}
        return card, {**known, **preset, **tuned, **method.options}


def _refuse_half_of_what_was_chosen(
    method: MethodChoice, chosen: Mapping[str, Scalar], fixed: Collection[str], *, sized: bool
) -> None:
    """What was tuned together holds together: an option with its size, and a name with both that go by it."""
    options = {name for name in chosen if name in METHODS.card(method.name).options}
    for name in sorted(options & set(recipe_options())):
        if (name in fixed) != (name in method.options):
            raise UsageError(
                f"{name} was tuned in the recipe and in {method.name}'s own options alike: set both of them (--set "
                f"{name}=…) or neither."
            )
    if sized and (unsized := sorted(options - set(method.options))):
        raise UsageError(
            f"{', '.join(unsized)} of {method.name} was tuned, and a budget sizes it without that: set it (--set "
            f"{method.name}.{unsized[0]}=…), or leave out --recipe tuned."
        )


class Protocol:
    """Base of all protocols: which runs answer a question, and the tables that show the answer. Pure, without torch.

    Options are annotated class fields with literal defaults, as a method's are (bench.models.method.Method).

    A protocol is found in `protocols/`, behind an entry point of the group `bench.protocols`, and in a file that
    `--plugin FILE` names. This one, saved as `hurried.py`, is run by `bench run -p hurried --plugin hurried.py`, and
    `bench table hurried` shows its table:

        from bench.report.tables.fill import Layout, Line, by_preset, fill, own_columns
        from bench.planning.protocol import Protocol


        class Hurried(Protocol):
            "What the methods learn in one epoch."

            title = "In a hurry"
            bounds = {"epochs": {"least": 1}}

            epochs: int = 1
            "Epochs of every run."

            def plan(self, request):
                return [
                    request.spec(method, dataset, [f"{dataset}:test"], split, recipe={"epochs": self.epochs})
                    for split in range(request.splits)
                    for dataset in request.wanted(request.preset.main)
                    for method in request.chosen("linear_probe", "glia")
                ]

            def tables(self, results):
                hurried = results.where(lambda record: record.spec.recipe.epochs == self.epochs)
                return [self.table(part) for part in by_preset(hurried)]

            def table(self, part):
                columns = own_columns(part.own_test_sets(part.preset.main))
                lines = [Line((arm.title,), arm, arm) for arm in part.arms_in(columns)]
                return fill(part, Layout("hurried", self.title, ("Method",), tuple(columns), tuple(lines)))
    """

    name: ClassVar[str]
    """What it goes by; without one, by the name of its file."""
    title: ClassVar[str] = ""
    """As a heading has it."""
    pairs: ClassVar[bool] = False
    """Whether it trains on one set and tests on another (`Request.paired`): --train-on and --test-on are for such."""
    mixes: ClassVar[bool] = False
    """Whether it trains on several sets at once (`Request.mixed`): --train-on a+b is for such."""
    looks_for_shared_pictures: ClassVar[bool] = False
    """Whether its runs begin with a look for pictures that training and test sets share, unasked (--check-overlap)."""
    bounds: ClassVar[Mapping[str, Bound]] = {}
    """Which values of its options make sense, as in {"epochs": {"least": 1}}; others are refused."""
    refuses: ClassVar[tuple[str, ...]] = ()
    """What nobody may ask of it: backbone, weights, fraction or budget. It chooses these itself, or none of its tables
    would show such runs."""

    def __init__(self, **options: Scalar) -> None:
        for name, value in options.items():
            setattr(self, name, value)

    def plan(self, request: Request) -> list[RunSpec]:
        """Every run the protocol needs, in the order they should be made."""
        raise TypeError(f"{type(self).__name__} does not plan any run")

    def says(self, request: Request, specs: Sequence[RunSpec]) -> list[str]:
        """What is to be said of its runs before the first of them: what they cost, what was left out."""
        return []

    def tables(self, results: Results) -> list[Table]:
        """The protocol's tables, from whatever records there are."""
        raise TypeError(f"{type(self).__name__} does not make any table")


def merge(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """The runs to do: equal trainings once, with the tests of all who asked for them."""
    alike: dict[tuple[str, bool], list[RunSpec]] = {}
    for spec in specs:
        alike.setdefault((spec.training_key, spec.validates), []).append(spec)
    return [_with_all_tests(equal) for equal in alike.values()]


def _with_all_tests(equal: Sequence[RunSpec]) -> RunSpec:
    """The last of equal trainings, tested on whatever any of them is."""
    tests = {target for spec in equal for target in spec.tests}
    last = equal[-1]
    return last if tests == set(last.tests) else last.with_tests(tuple(tests))
