"""What every method must show before its numbers mean anything: the checks behind `bench methods check NAME`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from bench.core.errors import BenchError, closest
from bench.core.machine import autocast
from bench.core.progress import counted
from bench.core.registry import METHODS
from bench.core.spec import Recipe, Scalar
from bench.models.losses import plcc
from bench.models.method import Ground, Learning, Method, QualityModel
from bench.models.part import TrainingPart
from bench.models.texts import Encode, random_texts
from bench.models.vit import NO_VIT, Vit, VitShape
from bench.models.weights.load import load_vit

BATCH = 4
FITTED = 16
"""Pictures that a method which fits is given."""
STEPS = 3
SIZE = 224


WORDS: Mapping[str, tuple[str, ...]] = {"stands_on": get_args(Ground), "learns": get_args(Learning)}
"""Facts that are one of a few words."""


@dataclass(frozen=True)
class CheckResult:
    """One property, whether it holds, and what was seen."""

    name: str
    passed: bool
    detail: str


def tiny_vit() -> Vit:
    """A random three-block ViT at 224 pixels, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return Vit(VisionTransformer(SIZE, 32, embed_dim=48, depth=3, num_heads=3, num_classes=0), SIZE)


def _random_vit(backbone: str) -> Vit:
    return load_vit(backbone, "random", SIZE, files={}, cache=Path())[0] if backbone else tiny_vit()


def random_cnn(name: str) -> nn.Module:
    """The named timm network's feature stages with random weights, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        network: nn.Module = timm.create_model(name, features_only=True, pretrained=False)
        return network


class RandomToolbox:
    """The `Toolbox` of checks: networks with random weights, the same at every call."""

    def __call__(self, name: str) -> nn.Module:
        """A CNN's stages."""
        return random_cnn(name).requires_grad_(False).eval()

    def vit(self, name: str, size: int) -> Vit:
        """A further ViT."""
        return load_vit(name, "random", size, files={}, cache=Path())[0].requires_grad_(False)

    def texts(self, name: str, token: str = "") -> Encode:
        """A text encoder."""
        return random_texts


def check_method(
    name: str,
    options: Mapping[str, Scalar] | None = None,
    backbone: str | Callable[[], Vit] = "",
) -> list[CheckResult]:
    """All checks of one method with these options on a backbone with random weights.

    `backbone` is a timm name, or a function that gives the same ViT every time; empty: a tiny one. A method that
    stands on no ViT of the run is given none. One that refuses its options or the backbone raises its UsageError; any
    other failure is a failed check.
    """
    make_vit = partial(_random_vit, backbone) if isinstance(backbone, str) else backbone
    bench = _Bench(name, options or {}, make_vit)
    results = []
    for title, check in CHECKS.items():
        try:
            results.append(CheckResult(title, *check(bench)))
        except BenchError:
            raise
        except Exception as error:  # whatever a plugin does wrong is its result here
            results.append(CheckResult(title, False, f"{type(error).__name__}: {error}"))
    return results


class _Bench:
    """Builds the method afresh for each check, on the same backbone and pictures."""

    def __init__(self, name: str, options: Mapping[str, Scalar], make_vit: Callable[[], Vit]) -> None:
        self.name, self.options, self.make_vit = name, options, make_vit
        self.on_vit = self.method().stands_on == "vit"
        self.recipe = Recipe(size=make_vit().size if self.on_vit else SIZE)
        generator = torch.Generator().manual_seed(11)
        views = self.method().views(self.recipe)
        self.plain = [name for name, view in views.items() if view.plain]
        self.pictures = {
            view: torch.randn(BATCH, 3, self.recipe.size, self.recipe.size, generator=generator) for view in views
        }
        self.human = torch.randn(BATCH, generator=generator)
        self.facts = {"distortion": torch.tensor([5, 9, 5, 9]), "level": torch.tensor([1, 1, 2, 2])}

    @property
    def shape(self) -> VitShape:
        return self.make_vit().shape if self.on_vit else NO_VIT

    def method(self) -> Method:
        method: Method = METHODS.make(self.name, self.options)
        return method

    def fresh(self, seed: int = 0) -> QualityModel:
        """The model as it is built."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.method().build(self.make_vit() if self.on_vit else None, self.recipe, RandomToolbox())

    def model(self, seed: int = 0) -> QualityModel:
        """The model as descent begins with it, or as it is tested where there is none."""
        model = self.fresh(seed)
        self.fit(model)
        return model

    def fit(self, model: QualityModel) -> None:
        """Let a method that fits do so, on noise of several strengths."""
        if "fit" not in self.method().learns:
            return
        strengths = torch.linspace(0.5, 2, FITTED)

        def load(pictures: np.ndarray, _view: int) -> Mapping[str, Tensor]:
            return self._inputs(model, [int(n) % BATCH for n in pictures], strengths[torch.from_numpy(pictures)])

        texts = [f"noise of strength {strength:.1f}" for strength in strengths]
        cpu = torch.device("cpu")
        part = partial(TrainingPart, views=1, load=load, device=cpu, texts=lambda _: texts)
        scores, contents = np.linspace(1, -1, FITTED), np.array([f"content {n // 2}" for n in range(FITTED)])
        with torch.no_grad():
            self.method().fit(model.eval(), part(scores, contents, originals=part(scores, contents).stacked))

    def inputs(self, model: QualityModel, order: list[int] | None = None) -> dict[str, Tensor]:
        """What `forward` is given of the pictures."""
        rows = order or list(range(BATCH))
        return self._inputs(model, rows, torch.ones(len(rows)))

    def _inputs(self, model: QualityModel, rows: list[int], strengths: Tensor) -> dict[str, Tensor]:
        pictures = {view: strengths.view(-1, 1, 1, 1) * picture[rows] for view, picture in self.pictures.items()}
        pictures |= {view: (128 + 40 * pictures[view]).round().clamp(0, 255) for view in self.plain}
        with torch.no_grad():
            frozen = {k: f.compute(pictures[f.view]) for k, f in model.features.frozen.items()}
        told = {name: self.facts[name][rows] for name in model.features.knows}
        return {view: pictures[view] for view in model.features.pictures} | frozen | told

    def scores(self, model: QualityModel, order: list[int] | None = None) -> Tensor:
        if self.method().stands_on == "runs":
            stored = self.human[order or slice(None)] * torch.tensor([[1.0], [-3.0], [0.5]])
            return torch.from_numpy(self.method().combine(stored.double().numpy())).float()
        with torch.no_grad():
            scores: Tensor = model.eval()(self.inputs(model, order))
        return scores

    def train(self, model: QualityModel, steps: int = STEPS) -> dict[str, float]:
        """A few real steps; the largest gradient that each trainable tensor saw in the first two."""
        method = self.method()
        largest: dict[str, float] = {}
        if "descent" not in method.learns:
            return largest
        groups: list[Any] = method.parameter_groups(model, self.recipe.lr)
        optimiser = torch.optim.AdamW(groups, lr=self.recipe.lr, weight_decay=self.recipe.weight_decay)
        model.train()
        for step in range(1, steps + 1):
            loss = plcc(model(self.inputs(model)), self.human)
            optimiser.zero_grad()
            loss.backward()
            for name, p in model.named_parameters():
                if p.requires_grad and step <= 2:
                    seen = 0.0 if p.grad is None else float(p.grad.abs().max())
                    largest[name] = max(largest.get(name, 0.0), seen)
            optimiser.step()
        return largest


def _count(bench: _Bench) -> tuple[bool, str]:
    model = bench.model()
    counted = model.learned() - sum(p.numel() for p in model.head.parameters() if p.requires_grad)
    documented = bench.method().size(bench.shape)
    if documented < 0:
        return True, f"{counted:,} here; they depend on the data"
    return counted == documented, f"{counted:,} counted, {documented:,} documented"


def _frozen_stays(bench: _Bench) -> tuple[bool, str]:
    model = bench.fresh()
    trained = model.trainable_state()
    theirs = {tensor.data_ptr() for tensor in trained.values()}  # one shared by blocks goes by several names
    frozen = {k: v for k, v in model.state_dict().items() if k not in trained and v.data_ptr() not in theirs}
    before = {k: v.clone() for k, v in frozen.items()}
    bench.fit(model)
    bench.train(model)
    after = model.state_dict()
    moved = [name for name, tensor in before.items() if not torch.equal(tensor, after[name])]
    return not moved, f"{len(before)} frozen tensors" if not moved else f"moved: {_some(moved)}"


def _all_learn(bench: _Bench) -> tuple[bool, str]:
    model = bench.model()
    if "descent" not in bench.method().learns:
        idle = [name for name, p in model.named_parameters() if p.requires_grad]
        return not idle, "no gradient descent" if not idle else f"no descent trains {_some(idle)}"
    largest = bench.train(model, steps=2)
    dead = [name for name, gradient in largest.items() if gradient == 0.0]
    return not dead, f"{len(largest)} trainable tensors" if not dead else f"no gradient: {_some(dead)}"


def _identity(bench: _Bench) -> tuple[bool, str]:
    if not bench.on_vit or not bench.method().starts_as_identity():
        return True, "not claimed"
    model = bench.model().eval()
    with torch.no_grad():
        plain = bench.make_vit().eval()(bench.pictures["crop"])
        gap = float((model.features(bench.inputs(model)) - plain).abs().max())
    return gap <= 1e-5, f"largest gap {gap:.1e}"


def _outputs(bench: _Bench) -> tuple[bool, str]:
    model = bench.model()
    seen, good = [], True
    # one picture in bf16: a CPU without bf16 instructions takes seconds for each
    for precision, rows in (("fp32", [0, 1, 2, 3]), ("bf16", [0])):
        with autocast("cpu", precision):
            scores = bench.scores(model, rows)
        finite = bool(scores.isfinite().all())
        good = good and finite and scores.shape == (len(rows),) and scores.dtype == torch.float32
        seen.append(f"{precision}: {tuple(scores.shape)} {'finite' if finite else 'not finite'} {scores.dtype}")
    return good, "; ".join(seen)


def _state_returns(bench: _Bench) -> tuple[bool, str]:
    model = bench.model()
    bench.train(model)
    fresh = bench.fresh(seed=1)
    fresh.load_trainable_state({k: v.clone() for k, v in model.trainable_state().items()})
    gap = float((bench.scores(model) - bench.scores(fresh)).abs().max())
    return gap <= 1e-6, f"largest gap {gap:.1e}"


def _deterministic(bench: _Bench) -> tuple[bool, str]:
    model = bench.model()
    scores = bench.scores(model)
    same = torch.equal(scores, bench.scores(model))
    if same and "fit" in bench.method().learns:
        same = torch.equal(scores, bench.scores(bench.model()))
        return same, "two fits agree" if same else "two fits differ"
    return same, "two passes agree" if same else "two passes differ"


def _order_free(bench: _Bench) -> tuple[bool, str]:
    model, order = bench.model(), [2, 0, 3, 1]
    gap = float((bench.scores(model)[order] - bench.scores(model, order)).abs().max())
    return gap <= 1e-5, f"largest gap {gap:.1e}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _declared(bench: _Bench) -> tuple[bool, str]:
    """Facts are known by their names, and their source says what the class does: listings and plans read only that."""
    card, method = METHODS.card(bench.name), bench.method()
    facts = METHODS.facts
    wrong = [f"{name} is a fact, not an option: say it without an annotation" for name in facts & set(card.options)]
    wrong += [f"{name} is no fact: did you mean {meant}?" for name, meant in _typing_errors(method, set(card.options))]
    unread = sorted(name for name in facts - {"name", *card.options} if card.facts[name] != getattr(method, name))
    wrong += [f"{name} cannot be read from the source: write it out in the class itself" for name in unread]
    wrong += _unknown_words(method)
    wrong += [f"networks: there is no option {name}" for name in method.networks if name not in card.options]
    named = {name for bound in card.facts["bounds"].values() for name in (bound.get("divides"), bound.get("tiles"))}
    strangers = sorted({*card.facts["bounds"], *named} - {None} - set(card.options))
    wrong += [f"bounds: there is no option {name}" for name in strangers]
    said = facts & set(METHODS.own_card(bench.name).facts)
    return not wrong, "; ".join(wrong) or f"{counted(len(said), 'fact')}, {counted(len(card.options), 'option')}"


def _unknown_words(method: Method) -> list[str]:
    """Facts that are one of a few words, and are none of them."""
    said = {name: (getattr(method, name), words) for name, words in WORDS.items()}
    return [
        f"{name}={value!r} is none of {', '.join(words)}" for name, (value, words) in said.items() if value not in words
    ]


def _typing_errors(method: Method, options: Collection[str]) -> list[tuple[str, str]]:
    """Class attributes that nothing reads and that look like facts, each with the fact."""
    classes = type(method).__mro__[: type(method).__mro__.index(Method)]
    unknown = sorted({name for cls in classes for name in vars(cls)} - set(dir(Method)) - METHODS.facts - set(options))
    likely = [(name, closest(name, METHODS.facts, count=1, likeness=0.75)) for name in unknown if name[0] != "_"]
    return [(name, meant[0]) for name, meant in likely if meant]


CHECKS: dict[str, Callable[[_Bench], tuple[bool, str]]] = {
    "what it says of itself can be read": _declared,
    "trainable parameters are as documented": _count,
    "frozen tensors stay bit-identical": _frozen_stays,
    "every trainable tensor gets a gradient": _all_learn,
    "a fresh module is the identity": _identity,
    "scores are finite and of the right shape": _outputs,
    "trained state saves and loads": _state_returns,
    "evaluation is deterministic": _deterministic,
    "batch order changes nothing": _order_free,
}
