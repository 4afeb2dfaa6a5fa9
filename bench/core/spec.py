"""What one run is: a frozen, canonical specification whose hash is the run's name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bench.core.cards import Option
from bench.core.errors import UsageError
from bench.core.mixes import is_mix, mix_of, sets_of
from bench.core.split_rules import folds_of, refuse_beyond

SCHEMA = 2
"""Version of specs and records. A newer one is reported and left alone; an older one is read (records/earlier.py)."""

Scalar = bool | int | float | str
PARTS = ("test", "all", "validation")
EXTERNAL = "external"
"""How the method of imported scores begins, as in "external:NAME"."""
_RECIPE_FROM = re.compile(r"default|own|tuned|(?:nested|transferred):\w+(?:,\w+)*")


class Target(str):
    """What a run is tested on: a part of a dataset, spelled "dataset:part" in specs, records and predictions."""

    __slots__ = ()

    @staticmethod
    def of(dataset: str, part: str = "test") -> Target:
        """The target that is a part of a dataset."""
        return Target(f"{dataset}:{part}")

    @staticmethod
    def parse(text: str) -> Target:
        """A target as somebody wrote it; what names no dataset or no part of one is an error."""
        target = Target(text)
        if target.part not in PARTS or not target.dataset:
            known = [f"DATASET:{part}" for part in PARTS]
            raise UsageError(f"The test target {text!r} is none of {', '.join(known[:-1])} and {known[-1]}.")
        return target

    @property
    def dataset(self) -> str:
        """The set."""
        return self.rpartition(":")[0]

    @property
    def part(self) -> str:
        """Which images of it: "test", "all" or "validation"."""
        return self.rpartition(":")[2]


RECIPE_MEANINGS: Mapping[str, str] = {
    "epochs": "Passes over the training part.",
    "batch": "Images a step at most; an epoch is cut into equal batches.",
    "lr": "Learning rate of AdamW.",
    "weight_decay": "Weight decay of AdamW.",
    "schedule": "How the rate falls: along a half cosine to zero, not at all, or as the method's own paper has it.",
    "warmup": "Steps in which the rate first grows to its value; a schedule of the method's own does not read it.",
    "clip": "Largest norm of a step's gradient; 0: any.",
    "loss": "What is made small: one minus the batch's correlation, a mixture with its square, a distance to the "
    "scores, or a loss of the method's own.",
    "head": "The layer from feature to score: cosine with one learned direction, or linear.",
    "dropout": "Dropout between feature and head.",
    "short_side": "Pixels that an image's shorter side is resized to before views are cut; 0: its own size.",
    "size": "Pixels a side of what the backbone sees; native: what it was pretrained at, and the short side with it.",
    "interpolation": "How images are resized.",
    "flips": "Whether training views are flipped at random.",
    "train_views": "Views of each image in an epoch.",
    "test_views": "Views of each image in a test, whose scores are averaged.",
    "norm": "Mean and deviation that pixels are normalised with: ImageNet's, or those of the backbone's tag in timm.",
    "selection": "Which epoch is tested: the last, the best on validation contents, or the best on the test part.",
    "seed": "Another seed, other random numbers.",
    "views": "What a test looks at: crops, or native: the whole picture at its own aspect, once, with interpolated "
    "positions; training is on crops either way.",
    "tokens": "Patches of a whole picture at most (views=native); a larger one is scaled down.",
}
"""What each field of the recipe means."""
RECIPE_LEAST: Mapping[str, float] = {
    **dict.fromkeys(("epochs", "batch", "size", "train_views", "test_views", "tokens"), 1),
    **dict.fromkeys(("lr", "weight_decay", "warmup", "clip", "short_side", "seed", "dropout"), 0),
}
"""The smallest value of a field that makes sense."""
RECIPE_BELOW: Mapping[str, float] = {"dropout": 1}
"""What a field must stay below."""
LATER = ("views", "tokens")
"""Fields that the recipe did not have from the start; as long as they are untouched no run is called otherwise."""


@dataclass(frozen=True)
class Recipe:
    """How every method is trained and scored (LoDa's protocol by default, see docs/fidelity.md)."""

    epochs: int = 10
    batch: int = 128
    lr: float = 3e-4
    weight_decay: float = 1e-2
    schedule: Literal["cosine", "constant", "own"] = "cosine"
    warmup: int = 0
    clip: float = 0.0
    loss: Literal["plcc", "plcc_squared", "mse", "l1", "smooth_l1", "own"] = "plcc"
    head: Literal["cosine", "linear"] = "cosine"
    dropout: float = 0.1
    short_side: int = 384
    size: int = 224
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    flips: bool = True
    train_views: int = 1
    test_views: int = 15
    norm: Literal["imagenet", "timm"] = "imagenet"
    selection: Literal["last", "val", "oracle"] = "last"
    seed: int = 0
    views: Literal["crops", "native"] = "crops"
    tokens: int = 1024

    def __post_init__(self) -> None:
        _settle(self)
        for name, least in RECIPE_LEAST.items():
            if not getattr(self, name) >= least:  # so that "not a number" is refused too
                raise UsageError(f"{name}={getattr(self, name)} must be at least {least}.")
        for name, end in RECIPE_BELOW.items():
            if not getattr(self, name) < end:
                raise UsageError(f"{name}={getattr(self, name)} must be less than {end}.")
        if self.loss.startswith("plcc") and self.batch < 2:
            raise UsageError(f"batch={self.batch} is too small for loss={self.loss}: it correlates a batch's images.")
        if not self.whole_pictures and self.tokens != Recipe.tokens:
            raise UsageError(f"tokens={self.tokens} bounds whole pictures: it goes with views=native.")

    @property
    def whole_pictures(self) -> bool:
        """Whether a test looks at whole pictures instead of crops."""
        return self.views == "native"

    def as_dict(self) -> dict[str, Scalar]:
        """Plain JSON types, field by field. What came later and nobody asked for is not said: it would rename runs."""
        silent = () if self.whole_pictures else LATER
        return {name: getattr(self, name) for name in _field_names(Recipe) if name not in silent}

    def unlike(self, usual: Recipe) -> dict[str, Scalar]:
        """The fields in which it differs from another recipe."""
        names = _field_names(Recipe)
        return {name: value for name in names if (value := getattr(self, name)) != getattr(usual, name)}


@dataclass(frozen=True)
class RunSpec:
    """One training run and the sets it is tested on. Everything that may change a number is in it.

    `tests` names targets as "dataset:test" (the split's held-out part), "dataset:all" (the whole set) or
    "dataset:validation" (contents taken out of the training part, for tuning).
    """

    method: str
    train: str
    """A set, or several that are trained on together (bench.core.mixes)."""
    tests: tuple[Target, ...]
    split: int = 0
    options: Mapping[str, Scalar] = field(default_factory=dict)
    backbone: str = "vit_base_patch16_224.augreg2_in21k_ft_in1k"
    weights: str = "pretrained"
    cnn_weights: str = "pretrained"
    fraction: float = 0.8
    source: Literal["split", "all"] = "split"
    split_rule: str = "random"
    """"random", "official", "kfold:7" (then the split is one of seven folds), or one of bench.core.split_rules."""
    recipe: Recipe = field(default_factory=Recipe)
    recipe_from: str = "default"
    """"default", "own" (its paper's), "nested:lr" (these settings were chosen inside the split's training part),
    "transferred:lr" (on other sets); "tuned" in older records, whose choice had seen the test parts of other splits."""
    precision: Literal["fp32", "bf16"] = "fp32"
    preset: Literal["demo", "study", "paper"] = "paper"
    budget: int = 0
    limit: int = 0
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", dict(sorted(self.options.items())))
        object.__setattr__(self, "tests", tuple(Target(target) for target in sorted(set(self.tests))))
        _settle(self)
        if not _RECIPE_FROM.fullmatch(self.recipe_from):
            raise UsageError(
                f"recipe_from={self.recipe_from!r} is none of default, own, nested:KEYS and transferred:KEYS."
            )
        for name in ("budget", "limit"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name}={getattr(self, name)} must not be negative.")
        self._refuse_unknown_split()
        if not 0 < self.fraction <= 0.8:
            raise UsageError(f"fraction={self.fraction} must lie in (0, 0.8]: 20% of a set is always kept for tests.")
        if self.source == "all" and self.recipe.selection == "oracle":
            raise UsageError(
                "selection=oracle chooses an epoch on the test part, which source=all trains on: leave one of them out."
            )
        if is_mix(self.train):
            object.__setattr__(self, "train", str(mix_of(self.train)))
            self._refuse_mixed_scales()
        seen = {Target.of(name, part) for name in self.trained_on for part in ("all", *self._whole_parts)}
        if seen & set(self.tests):
            raise UsageError(f"{', '.join(sorted(seen & set(self.tests)))} would test on images that were trained on.")

    @property
    def _whole_parts(self) -> tuple[str, ...]:
        return ("test",) if self.source == "all" else ()

    def _refuse_unknown_split(self) -> None:
        if self.split < 0:
            raise UsageError(f"split={self.split} must not be negative.")
        refuse_beyond(self.split_rule, self.split)

    def _refuse_mixed_scales(self) -> None:
        """Scores of several sets have no scale in common: each is tested by itself, and none is tuned on."""
        wrong = [target for target in self.tests if is_mix(target.dataset)]
        wrong += [t for t in self.tests if t.part == "validation" and t.dataset in self.trained_on]
        if wrong:
            raise UsageError(f"A model of {self.train} is tested on one set at a time, not on {', '.join(wrong)}.")

    def __hash__(self) -> int:
        return hash(self.key)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, with every option spelled out."""
        plain = {name: getattr(self, name) for name in _field_names(RunSpec)}
        plain |= {"tests": list(self.tests), "options": dict(self.options)}
        plain["recipe"] = self.recipe.as_dict()
        return plain

    @cached_property
    def beside_split(self) -> str:
        """All of it but the split's number in one canonical line: what runs share that differ in their split only."""
        return canonical_json({name: value for name, value in self.as_dict().items() if name != "split"})

    @cached_property
    def key(self) -> str:
        """The run's name: a hash of the whole specification."""
        return key_of(self.beside_split, self.split)

    @cached_property
    def training_key(self) -> str:
        """The name of what is trained, whatever it is tested on afterwards: trained weights go by it."""
        return key_of(self._beside_split_and_tests, self.split)

    @cached_property
    def _beside_split_and_tests(self) -> str:
        return canonical_json({name: value for name, value in self.as_dict().items() if name not in ("split", "tests")})

    def in_split(self, split: int) -> RunSpec:
        """The same run in another split; what both have alike is checked and written down once."""
        if split == self.split:
            return self
        _ = self.beside_split, self._beside_split_and_tests  # they are kept, and so copied
        other = object.__new__(RunSpec)
        other.__dict__.update(self.__dict__, split=split)
        for name in ("key", "training_key"):
            other.__dict__.pop(name, None)
        other._refuse_unknown_split()
        return other

    def with_tests(self, tests: tuple[Target, ...]) -> RunSpec:
        """The same training, tested on other targets."""
        return replace(self, tests=tests)

    @property
    def folds(self) -> int:
        """How many folds its split rule has; 0 where it has none."""
        return folds_of(self.split_rule)

    @property
    def repetition(self) -> int:
        """Which of its row's trainings it is: its split, or its fold once more for every seed before its own."""
        return self.recipe.seed * self.folds + self.split

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The sets it trains on: one, or those of a mix."""
        return sets_of(self.train)

    @property
    def datasets(self) -> set[str]:
        """The sets it trains and tests on."""
        return {*self.trained_on, *(target.dataset for target in self.tests)}

    @property
    def external(self) -> bool:
        """Whether it stands for scores that were imported: nothing was trained or run for them here."""
        return self.method.startswith(f"{EXTERNAL}:")

    @property
    def validates(self) -> bool:
        """Whether some contents are taken out of the training part, to choose an epoch or settings by them."""
        return self.recipe.selection == "val" or any(target.part == "validation" for target in self.tests)

    def covers(self, other: RunSpec) -> bool:
        """Whether a record of this run answers for the wanted one: the same training, at least its tests."""
        alike = self.training_key == other.training_key and self.validates == other.validates
        return alike and set(other.tests) <= set(self.tests)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> RunSpec:
        """Read a spec back; unknown, missing or ill-typed fields are errors that name them."""
        if not isinstance(data, Mapping):
            raise UsageError("A run's spec must be a table of fields.")
        plain = dict(data)
        recipe = plain.get("recipe", {})
        if not isinstance(recipe, Mapping):
            raise UsageError("A spec's recipe must be a table of fields.")
        plain["recipe"] = _checked(Recipe, recipe)
        options = plain.get("options", {})
        if not isinstance(options, Mapping) or not all(isinstance(v, Scalar) for v in options.values()):
            raise UsageError("A spec's options must be a table of plain values.")
        tests = plain.get("tests", ())
        if not isinstance(tests, (list, tuple)) or not all(isinstance(t, str) for t in tests):
            raise UsageError("A spec's tests must be a list of targets.")
        plain["tests"] = tuple(map(Target, tests))
        spec: RunSpec = _checked(RunSpec, plain)
        return spec


def recipe_options() -> dict[str, Option]:
    """The recipe's fields as options a user can set."""
    return {f.name: _recipe_option(f.name, _type_text(f.type), f.default) for f in fields(Recipe)}


def _recipe_option(name: str, kind: str, default: Any) -> Option:
    least, below = RECIPE_LEAST.get(name), RECIPE_BELOW.get(name)
    return Option(name, kind, default, least, below, RECIPE_MEANINGS[name])


@cache
def _field_names(cls: type[Any]) -> tuple[str, ...]:
    """A dataclass's fields; planning asks for them thousands of times."""
    return tuple(f.name for f in fields(cls))


@cache
def _kinds(cls: type[Any]) -> dict[str, tuple[type[Any] | None, tuple[Any, ...]]]:
    """A dataclass's fields: the plain type of each (None for others), and the values that a Literal allows."""
    kinds: dict[str, tuple[type[Any] | None, tuple[Any, ...]]] = {}
    for name, kind in get_type_hints(cls).items():
        plain = kind if kind in (bool, int, float, str) else None
        kinds[name] = (plain, get_args(kind) if get_origin(kind) is Literal else ())
    return kinds


def _settle(instance: Any) -> None:
    """A whole number becomes a field's float; a value that is none of its field's must never reach a record.

    Nothing could read it back, or it would be read back under another name.
    """
    cls: Any = type(instance)
    for name, (plain, allowed) in _kinds(cls).items():
        value = getattr(instance, name)
        if plain is float and isinstance(value, int | float) and not isinstance(value, bool):
            object.__setattr__(instance, name, float(value) + 0.0)  # which makes -0 be 0
        elif plain is not None and (not isinstance(value, plain) or isinstance(value, bool) != (plain is bool)):
            raise UsageError(f"{cls.__name__}.{name} = {value!r} is not of type {plain.__name__}.")
        elif allowed and value not in allowed:
            raise UsageError(f"{name}={value!r} is none of {', '.join(map(str, allowed))}.")


def _type_text(annotation: Any) -> str:
    return str(annotation).replace("'", '"')


def _checked(cls: Any, data: Mapping[str, Any]) -> Any:
    """Build a dataclass from JSON, naming what does not fit."""
    unknown = sorted(set(data) - set(_kinds(cls)))
    if unknown:
        raise UsageError(f"Unknown field in {cls.__name__}: {', '.join(map(ascii, unknown))}.")
    try:
        return cls(**data)
    except TypeError as error:
        raise UsageError(f"{cls.__name__}: {error}") from None


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_json(data: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return _CANONICAL.encode(data)


def key_of(beside_split: str, split: int) -> str:
    """The hash of a run's canonical JSON: of the pair of all that is not its split, and its split."""
    return hashlib.sha256(f"[{beside_split},{split}]".encode()).hexdigest()[:20]
