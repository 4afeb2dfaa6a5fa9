"""What a fine-tuning strategy is: frozen options, the views it takes, and the module it builds on a frozen ViT.

A subclass is one short file: what it says of itself (the class attributes of `Method`), its options, `assemble` and
`size`, and `views` where it looks at more than one crop. Freezing, the quality head, normalisation and training are
the harness's work and the same for all, so that no method can forget or improve them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from bench.core.cards import Bound
from bench.core.spec import Recipe, Scalar
from bench.data.views.view import Frozen, View
from bench.models.dropout import Dropout
from bench.models.head import quality_head

if TYPE_CHECKING:
    from bench.models.vit import Vit, VitShape


class Features(nn.Module):
    """What a method builds: named inputs → one feature vector an image [B, width].

    `pictures` names the views that `forward` reads as normalised pictures, `frozen` the inputs computed for it.
    `drifting` names submodules whose buffers change in training and so belong to the trained state.
    `renewed`: from which token to which new ones are put before every block, in the place of those that the last block
    made: nothing of a picture comes through them, which attention rollout must know.
    """

    pictures: tuple[str, ...] = ()
    frozen: Mapping[str, Frozen] = {}
    drifting: tuple[str, ...] = ()
    renewed: tuple[int, int] = (0, 0)

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


Toolbox = Callable[[str], nn.Module]
"""Loads a further frozen network by timm name: pretrained, `features_only`, a list of feature maps (LoDa's CNN)."""


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
    recipe: ClassVar[Mapping[str, Scalar]] = {}
    """What the method's own paper changes in the common recipe (under the preset `paper`); empty for a fair fight."""
    identity_at_start: ClassVar[bool] = False
    """Whether a fresh module must give the frozen backbone's own features (to 1e-5)."""
    vit_b: ClassVar[int | None] = None
    """What `size` gives on ViT-B/16 with the default options; None where options decide it. `bench methods` lists it
    without loading torch, and `bench profile` measures the methods that say it unless told which."""
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

    def size(self, shape: VitShape) -> int:
        """Trainable parameters without the head, from the documented formula, not by counting."""
        raise TypeError(f"{type(self).__name__} does not say its size")

    def budget_choices(self, shape: VitShape) -> Sequence[int]:
        """The values of the option that `--budget` may turn, smallest first; sizes must grow with them."""
        return range(1, shape.width + 1) if self.sized_by else ()

    def resized(self, choice: int) -> dict[str, Scalar]:
        """The options that change when that option takes this value."""
        return {self.sized_by: choice}

    def starts_as_identity(self) -> bool:
        """Whether these very options claim it; the class fact unless they change it."""
        return self.identity_at_start

    def build(self, vit: Vit, recipe: Recipe, toolbox: Toolbox) -> QualityModel:
        """The whole model, sealed: frozen backbone, the method's features, the common head."""
        for parameter in vit.parameters():
            parameter.requires_grad_(self.trains_backbone)
        features = self.assemble(vit, toolbox)
        head = quality_head(recipe.head, vit.shape.width)
        return QualityModel(features, head, recipe.dropout)

    def parameter_groups(self, model: QualityModel, lr: float) -> list[dict[str, object]]:
        """What the optimiser gets: everything trainable at one rate."""
        return [{"params": [p for p in model.parameters() if p.requires_grad], "lr": lr}]


class QualityModel(nn.Module):
    """Features → dropout → head → one score an image."""

    def __init__(self, features: Features, head: nn.Module, dropout: float) -> None:
        super().__init__()
        self.features, self.head, self.dropout = features, head, Dropout(dropout)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Scores [B]: the head works in fp32 whatever the features were computed in, or ranks would tie."""
        features = self.features(inputs)
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

    def trainable_state(self) -> dict[str, Tensor]:
        """The trained tensors (and drifting statistics) by name, and nothing frozen."""
        state = {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}
        for part in self.features.drifting:
            for name, buffer in self.features.get_submodule(part).named_buffers(f"features.{part}"):
                state[name] = buffer
        return state

    def load_trainable_state(self, state: Mapping[str, Tensor]) -> None:
        """Put trained tensors back; missing or extra names are an error."""
        own = self.trainable_state()
        if set(own) != set(state):
            raise KeyError(f"trained state does not fit: {sorted(set(own) ^ set(state))[:5]}")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])
