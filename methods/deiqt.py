"""DEIQT: a ViT trained whole, whose CLS token asks its patches again as six judges, each of whom gives a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.core.errors import UsageError
from bench.core.spec import Recipe, Scalar
from bench.data.views.view import View
from bench.models.head import quality_head
from bench.models.layers import small_random
from bench.models.method import Features, Method, QualityModel, Toolbox
from bench.models.vit import Vit, VitShape

SQUEEZED = (512, 384)
"""Height and width that the authors' code squeezes KonIQ-10k's pictures to."""
WARMUP, STAIR = 3, 3
"""Epochs in which the rate grows, and after which it falls to a tenth."""
LEAST = 1e-3
"""Where the rate begins, as a share of its value: 2e-7 of 2e-4."""


class Deiqt(Method):
    """Qin et al. 2023: data-efficient image quality transformer, with its attention-panel decoder."""

    title: ClassVar[str] = "DEIQT"
    origin: ClassVar[str] = "Qin et al. 2023, and facts of the authors' public code"
    trains_backbone: ClassVar[bool] = True
    backbones: ClassVar[Mapping[str, str]] = {"paper": "deit3_small_patch16_224.fb_in22k_ft_in1k"}
    recipe: ClassVar[Mapping[str, Scalar]] = {
        "epochs": 9,
        "batch": 64,
        "lr": 2e-4,
        "weight_decay": 0.05,
        "clip": 5.0,
        "schedule": "own",
        "loss": "smooth_l1",
        "head": "linear",
        "dropout": 0.0,
        "train_views": 10,
        "test_views": 10,
    }
    preset_recipe: ClassVar[Mapping[str, Mapping[str, Scalar]]] = {"demo": {"lr": 2e-5}}
    vit_b: ClassVar[int] = 95_255_040
    bounds: ClassVar[Mapping[str, Bound]] = {"queries": {"least": 1}, "heads": {"least": 0, "of_width": True}}

    queries: int = 6
    """Judges: query tokens of the decoder."""
    heads: int = 0
    """Heads of the decoder; 0: as many as the ViT has, which are the paper's six on a ViT-S."""
    stairs: Literal["after_warmup", "from_start"] = "after_warmup"
    """What the falls of the own recipe's rate are counted from: the end of the warm-up, as newer versions of timm do
    it, or the first step, as older ones; the code names no version."""
    squeezed: bool = False
    """Whether crops are cut from pictures squeezed to 384 × 512, whatever their aspect, as the authors' code has it."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """The common crop, or one of a squeezed picture."""
        return {"crop": View("crop", recipe.size, flips=recipe.flips, squeezed=SQUEEZED if self.squeezed else (0, 0))}

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """The whole ViT, and the decoder on its tokens."""
        return _Panel(vit, self.queries, self.heads or vit.shape.heads)

    def size(self, shape: VitShape) -> int:
        """The ViT, the queries, and a decoder layer: two attentions, an MLP four times as wide, three norms."""
        w = shape.width
        attention, mlp, norms = 4 * (w + 1) * w, 8 * w * w + 5 * w, 6 * w
        return shape.parameters + self.queries * w + 2 * attention + mlp + norms

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """The recipe's; a linear one has no bias here, as the paper's: the mean of scores is the score of the mean."""
        if recipe.head != "linear":
            return quality_head(recipe.head, width)
        head = nn.Linear(width, 1, bias=False)
        nn.init.trunc_normal_(head.weight, std=0.02)
        return head

    def parameter_groups(self, model: QualityModel, lr: float) -> list[dict[str, object]]:
        """No decay of vectors, nor of the tokens and positions that are added to patches."""
        spared = ("pos_embed", "cls_token", "reg_token")
        plain: list[nn.Parameter] = []
        decayed: list[nn.Parameter] = []
        for name, p in model.named_parameters():
            if p.requires_grad:
                (plain if p.ndim < 2 or name.endswith(spared) else decayed).append(p)
        return [{"params": decayed, "lr": lr}, {"params": plain, "lr": lr, "weight_decay": 0.0}]

    def rates(self, step: int, per_epoch: int, recipe: Recipe) -> Sequence[float]:
        """Straight up for three epochs, then a tenth after each three."""
        if step < WARMUP * per_epoch:
            rate = LEAST + (1 - LEAST) * step / (WARMUP * per_epoch)
        else:
            since = step - WARMUP * per_epoch if self.stairs == "after_warmup" else step
            rate = 0.1 ** (since // (STAIR * per_epoch))
        return [rate, rate]


class _Panel(Features):
    pictures = ("crop",)

    def __init__(self, vit: Vit, queries: int, heads: int) -> None:
        super().__init__()
        if not vit.reads_cls:
            raise UsageError("The decoder of DEIQT asks as the CLS token, which this backbone does not have.")
        width = vit.shape.width
        if width % heads:
            raise UsageError(f"A width of {width} cannot be shared by {heads} heads: choose heads that divide it.")
        self.vit = vit
        self.queries = small_random(queries, width)
        settings = {"dropout": 0.0, "activation": F.gelu, "batch_first": True, "norm_first": True}
        self.decoder = nn.TransformerDecoderLayer(width, heads, 4 * width, **settings)
        for layer in self.decoder.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """[B, width]: the mean of what the judges see."""
        tokens = self.vit.tokens(inputs["crop"])
        judges = self.queries + tokens[:, :1]
        patches = tokens[:, self.vit.shape.prefix :]
        judged: Tensor = self.decoder(judges, patches)
        return judged.mean(1)
