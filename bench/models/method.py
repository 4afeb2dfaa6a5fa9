"""What a method is: frozen options, the views it takes, and the module it builds on a frozen ViT or without one.

A subclass is one short file: what it says of itself (the class attributes of `Method`), its options, `assemble` and
`size`, and `views` where it looks at more than one crop. Freezing, the quality head, normalisation and training are
the harness's work and the same for all, so that no method can forget or improve them. A method that is no strategy of
fine-tuning has hooks for what it does otherwise: networks of its own, a fit in closed form, a head, a loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.cards import Bound
from bench.core.spec import Recipe, Scalar
from bench.data.views.view import Frozen, View
from bench.models.dropout import Dropout
from bench.models.head import quality_head
from bench.models.part import TrainingPart

if TYPE_CHECKING:
    from bench.models.texts import Encode
    from bench.models.vit import Vit, VitShape


Ground = Literal["vit", "own", "runs", "nothing"]
"""What a method stands on."""
Learning = Literal["descent", "fit", "fit_then_descent", "nothing"]
"""How a method learns."""


class Features(nn.Module):
    """What a method builds: named inputs → one feature vector per image [B, width].

    `pictures` names the views that `forward` reads as normalised pictures, `frozen` the inputs computed for it.
    `drifting` names submodules whose buffers change in training and so belong to the trained state.
    `renewed`: from which token to which new ones are put before every block, in the place of those that the last block
    made: nothing of a picture comes through them, which attention rollout must know.
    `width`: of the vectors that `forward` gives, where it is not the ViT's.
    `fitted` names the buffers or parameters of its own that `Method.fit` finds, in whatever shape: they are part of
    the trained state. Before the fit they are there and empty.
    `knows` names what `forward` is told of each picture beside its pixels ("distortion" and "level", as whole numbers).
    """

    pictures: tuple[str, ...] = ()
    frozen: Mapping[str, Frozen] = {}
    drifting: tuple[str, ...] = ()
    renewed: tuple[int, int] = (0, 0)
    width: int = 0
    fitted: tuple[str, ...] = ()
    knows: tuple[str, ...] = ()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The feature vectors that the quality head scores."""
        raise TypeError(f"{type(self).__name__} has no forward")


class ViewFeature(Features):
    """The walk of the (perhaps extended) ViT over one crop: what most strategies need."""

    pictures = ("crop",)

    def __init__(self, vit: Vit) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The pooled feature of the crop."""
        return self.vit(inputs["crop"])


class Toolbox(Protocol):
    """Loads further networks by timm name: pretrained, frozen, in eval mode; unfreeze what is to be trained."""

    def __call__(self, name: str, /) -> nn.Module:
        """A CNN's last four feature stages: pictures → a list of maps (LoDa's CNN)."""
        ...

    def vit(self, name: str, size: int, /) -> Vit:
        """A further ViT for pictures of `size` pixels."""
        ...

    def texts(self, name: str, token: str, /) -> Encode:
        """A text encoder by its open_clip name and tag, or with the weights of the file with this hash.

        It is loaded when it is first called, which a model that is restored never does. Where the run's weights are
        random, it is a small random one.
        """
        ...


class Method:
    """Base of all strategies: frozen options, and how a frozen ViT is extended.

    Options are annotated class fields with literal defaults (`int`, `float`, `bool`, `str`, `Literal[...]`); the text
    below one says what it means. What is not annotated, or as a `ClassVar`, is a fact about the method; the facts there
    are stand below. Both are read from the source, without running it, so they are written out.

    A method is found in `methods/`, behind an entry point of the group `bench.methods`, and in a file that
    `--plugin FILE` names. This one, saved as `blend.py`, is shown by `bench methods show blend --plugin blend.py`,
    checked by `bench methods check`, and run by `bench run -m blend`:

        import torch
        from torch import nn

        from bench.models.method import Method, ViewFeature


        class Blend(Method):
            "A learned gain for each channel of the pooled feature."

            title = "Blend"
            identity_at_start = True
            bounds = {"start": {"least": 0}}

            start: float = 1.0
            "Where every gain starts."

            def assemble(self, vit, toolbox):
                return Gained(vit, self.start)

            def size(self, shape):
                return shape.width

            def starts_as_identity(self):
                return self.start == 1


        class Gained(ViewFeature):
            def __init__(self, vit, start):
                super().__init__(vit)
                self.gain = nn.Parameter(torch.full((vit.shape.width,), start))

            def forward(self, inputs):
                return self.gain * super().forward(inputs)
    """

    name: ClassVar[str]
    """What it goes by; without one, by the name of its file."""
    title: ClassVar[str] = ""
    """As the papers' tables spell it."""
    origin: ClassVar[str] = ""
    """Paper or code it follows, in a few words."""
    trains_backbone: ClassVar[bool] = False
    """Whether every weight of the ViT learns; else all are frozen when `assemble` gets it."""
    stands_on: ClassVar[Ground] = "vit"
    """What it reads: the run's ViT, networks of its own (`assemble_alone` asks the toolbox for them, options name
    them), stored predictions of the runs beside it (`combine`; the option `of` names their methods), or none of these.
    A ViT that is not read is not loaded, and `--backbone` is no part of the run's name."""
    networks: ClassVar[tuple[str, ...]] = ()
    """Which of its options name a network of its own, by timm name. `--cnn-weights` is for these, or for an option that
    is called `cnn`."""
    backbones: ClassVar[Mapping[str, str]] = {}
    """By preset, the ViT that it stands on where nobody names one, as in {"paper": "deit3_small_patch16_224"}; a preset
    that is not there: its usual one."""
    learns: ClassVar[Learning] = "descent"
    """How: by gradient descent under the recipe, by its own `fit`, by that as a start for descent, or not at all."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What sets must tell of their pictures (`DatasetSource.tells`): "distortion", of all sets of a run, or
    "originals", of the one it is fitted on. `--method all` leaves out runs on other sets."""
    files: ClassVar[Mapping[str, str]] = {}
    """Which of its options name a file, and why it cannot do without (empty: it can), as in {"captions": "it needs
    texts: --set NAME.captions=FILE"}. In a run the option is the hash of what is in the file, so that another file is
    another run. Without one that it needs it is refused, and left out of `--method all`."""
    ranked: ClassVar[bool] = True
    """Whether it takes part in ranks; not so one that is told what no method may know."""
    constant: ClassVar[bool] = False
    """Whether it means to give one score to all pictures: its correlations are then undefined, and its run no failure.
    Of any other method such scores are a collapse, and the run has failed."""
    recipe: ClassVar[Mapping[str, Scalar]] = {}
    """What the method's own paper changes in the common recipe: used under `--recipe own`, else all train alike."""
    preset_recipe: ClassVar[Mapping[str, Mapping[str, Scalar]]] = {}
    """By preset, what it needs changed in the common recipe to train at all, as in {"demo": {"lr": 2e-5}}; tables say
    so."""
    preset_options: ClassVar[Mapping[str, Mapping[str, Scalar]]] = {}
    """By preset, other defaults of its options, as in {"demo": {"cnn": "tf_efficientnet_lite0"}}; the demo's hold in
    every preset that makes its own sets."""
    identity_at_start: ClassVar[bool] = False
    """Whether a fresh module must give the frozen backbone's own features (to 1e-5)."""
    vit_b: ClassVar[int | None] = None
    """What `size` gives on ViT-B/16 with the default options; None where options or data decide it. `bench methods`
    lists it without loading torch, and `bench profile` measures the methods that say it unless told which."""
    family: ClassVar[bool] = False
    """Whether only its variants are methods (`peft:dora`): `--method all` leaves a family out."""
    packs: ClassVar[int] = 1
    """How many alike runs a CPU trains together. More than one only where the features learn and draw nothing: then
    the heads of several runs are computed as one, and each ends in the bits that it would have alone."""
    sized_by: ClassVar[str] = ""
    """The option that `--budget` turns; empty: the method has one size."""
    bounds: ClassVar[Mapping[str, Bound]] = {}
    """Which values of its options make sense, as in {"rank": {"least": 1}, "heads": {"least": 1, "divides": "rank"}}
    (bench.core.cards.Bound); others are refused before anything is run."""

    def __init__(self, variant: str = "", **options: Scalar) -> None:
        self.variant = variant
        for name, value in options.items():
            setattr(self, name, value)

    def views(self, recipe: Recipe) -> dict[str, View]:
        """The views it takes: one crop unless it says otherwise."""
        return {"crop": View("crop", recipe.size, flips=recipe.flips)}

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """The hook: build the feature module. The ViT comes frozen; what is new or unfrozen is trained.

        The ViT is the method's own from here on: it may be extended (`Vit.append`) and is never handed out again.
        """
        raise TypeError(f"{type(self).__name__} does not assemble anything")

    def assemble_alone(self, recipe: Recipe, toolbox: Toolbox) -> Features:
        """The hook of a method that does not stand on the run's ViT: build the features on whatever it brings."""
        raise TypeError(f"{type(self).__name__} does not assemble anything without a ViT")

    def size(self, shape: VitShape) -> int:
        """Trainable parameters without the head, from the documented formula, not by counting.

        Numbers that a fit finds count too. A method that does not stand on the run's ViT is given a shape of zeros.
        Negative: they depend on the data.
        """
        raise TypeError(f"{type(self).__name__} does not say its size")

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """What maps features to a score: the head of the recipe. None: `forward` gives the scores [B] themselves."""
        return quality_head(recipe.head, width)

    def combine(self, stored: np.ndarray) -> np.ndarray:
        """The hook of a method that stands on runs: [members, pictures] of predictions on a target → a score each."""
        raise TypeError(f"{type(self).__name__} does not combine anything")

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Find what gradient descent does not: put the tensors that `Features.fitted` names into `model.features`."""
        raise TypeError(f"{type(self).__name__} does not fit anything")

    def budget_choices(self, shape: VitShape) -> Sequence[int]:
        """The values of the option that `--budget` may turn, smallest first; sizes must grow with them."""
        return range(1, shape.width + 1) if self.sized_by else ()

    def resized(self, choice: int) -> dict[str, Scalar]:
        """The options that change when that option takes this value."""
        return {self.sized_by: choice}

    def starts_as_identity(self) -> bool:
        """Whether these very options claim it; the class fact unless they change it."""
        return self.identity_at_start

    def build(self, vit: Vit | None, recipe: Recipe, toolbox: Toolbox) -> QualityModel:
        """The whole model, sealed: frozen backbone, the method's features, the common head.

        There is a ViT for a method that stands on one.
        """
        if vit is None:
            features = self.assemble_alone(recipe, toolbox)
        else:
            for parameter in vit.parameters():
                parameter.requires_grad_(self.trains_backbone)
            features = self.assemble(vit, toolbox)
        head = self.head(recipe, features.width or (vit.shape.width if vit is not None else 0))
        return QualityModel(features, head, recipe.dropout)

    def parameter_groups(self, model: QualityModel, lr: float) -> list[dict[str, object]]:
        """What the optimiser gets: everything trainable at one rate. A group may have its own `weight_decay`."""
        return [{"params": [p for p in model.parameters() if p.requires_grad], "lr": lr}]

    def optimiser(self, groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer | None:
        """An optimiser of its own for these groups, which it needs in a paper's own recipe; None: AdamW, as all."""
        return None

    def rates(self, step: int, per_epoch: int, recipe: Recipe) -> Sequence[float]:
        """The factor on the rate of each parameter group at a step, where the recipe says `schedule=own`."""
        raise TypeError(f"{type(self).__name__} has no schedule of its own")

    def loss(self, predicted: Tensor, human: Tensor) -> Tensor:
        """What is made small where the recipe says `loss=own`; scores are standardised over the training part."""
        raise TypeError(f"{type(self).__name__} has no loss of its own")


class QualityModel(nn.Module):
    """Features → dropout → head → one score per image. Without a head the features are the scores."""

    def __init__(self, features: Features, head: nn.Module | None, dropout: float) -> None:
        super().__init__()
        self.features, self.head = features, nn.Identity() if head is None else head
        self.dropout = Dropout(dropout)
        self.headless = head is None
        self.register_buffer("place", torch.zeros(()), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where it is: also of a model without parameters."""
        return self.get_buffer("place").device

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Scores [B]: the head works in fp32 whatever the features were computed in, or ranks would tie."""
        features = self.features(inputs)
        if self.headless:
            return features.float()
        with torch.autocast(features.device.type, enabled=False):
            return self.head(self.dropout(features.float())).squeeze(-1)

    def train(self, mode: bool = True) -> QualityModel:
        """Frozen parts stay in eval mode: their dropout, drop-path and batch statistics belong to pretraining."""
        super().train(mode)
        if mode:
            for module in self.modules():
                own = list(module.parameters())
                if own and not any(p.requires_grad for p in own):
                    module.eval()
        return self

    def learned(self) -> int:
        """How many numbers training finds, by descent or by a fit."""
        trained = {id(p): p.numel() for p in self.parameters() if p.requires_grad}
        fitted = {id(t): t.numel() for t in (getattr(self.features, name) for name in self.features.fitted)}
        return sum((trained | fitted).values())

    def numbers(self) -> int:
        """How many numbers it is made of, frozen ones and those that a fit found included."""
        fitted = [getattr(self.features, name) for name in self.features.fitted]
        own = {id(p) for p in self.parameters()}
        return sum(p.numel() for p in self.parameters()) + sum(t.numel() for t in fitted if id(t) not in own)

    def trainable_state(self) -> dict[str, Tensor]:
        """The trained tensors (and drifting statistics) by name, and nothing frozen."""
        state = {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}
        for part in self.features.drifting:
            for name, buffer in self.features.get_submodule(part).named_buffers(f"features.{part}"):
                state[name] = buffer
        return state | {f"features.{name}": getattr(self.features, name).detach() for name in self.features.fitted}

    def load_trainable_state(self, state: Mapping[str, Tensor]) -> None:
        """Put trained tensors back; missing or extra names are an error. What a fit finds takes the shape it had."""
        own = self.trainable_state()
        if set(own) != set(state):
            raise KeyError(f"trained state does not fit: {sorted(set(own) ^ set(state))[:5]}")
        with torch.no_grad():
            for name, tensor in own.items():
                if name.removeprefix("features.") in self.features.fitted and tensor.shape != state[name].shape:
                    put_fitted(self.features, name.removeprefix("features."), state[name])
                else:
                    tensor.copy_(state[name])


def put_fitted(features: Features, name: str, found: Tensor) -> None:
    """Put what a fit found in the place of the buffer or parameter of that name, on the device of the old one."""
    old: Tensor = getattr(features, name)
    found = found.detach().to(old.device).clone()
    setattr(features, name, nn.Parameter(found, old.requires_grad) if isinstance(old, nn.Parameter) else found)
