"""GLIA: a frozen ViT sees grid fragments while the whole image guides it through low-rank cross-attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.core.cards import Bound
from bench.core.errors import UsageError
from bench.core.spec import Recipe
from bench.data.views.view import Frozen, View
from bench.models.layers import CrossAttention, cross_attention_size, mlp, mlp_size, small_random
from bench.models.method import Features, Method, Toolbox
from bench.models.vit import Vit, VitShape


class Glia(Method):
    """Global-Local Interaction Adapter (Eq. 1–4) with the ablations of its Tables 4 and 5."""

    title: ClassVar[str] = "GLIA"
    origin: ClassVar[str] = "the GLIA paper; no public code (docs/fidelity.md)"
    vit_b: ClassVar[int] = 8_035_861
    sized_by: ClassVar[str] = "rank"
    bounds: ClassVar[Mapping[str, Bound]] = {
        "rank": {"least": 1},
        "heads": {"least": 1, "divides": "rank"},
        "grid": {"least": 1, "tiles": "fragment"},
        "fragment": {"least": 1},
    }

    rank: int = 64
    """Width of the latent space in which the two streams meet."""
    heads: int = 4
    """Heads of the cross-attention."""
    lambda_init: float = 0.02
    """Where the learned weights of the cross-attention (λ_d, λ_s) start."""
    placement: Literal["between", "before_each"] = "between"
    """GLIA blocks between the ViT's blocks, or one before each of them."""
    residual: Literal["added", "literal"] = "added"
    """Whether Eq. 3 adds its bottleneck to the tokens, or replaces them, as its letters say."""
    lgf: bool = True
    """Local-global fusion (Eq. 3): the main stream is told what the guiding one sees."""
    glr: bool = True
    """Global-local refinement (Eq. 4): the guiding stream is told what the main one sees."""
    without_lgf: Literal["adapter", "mean"] = "adapter"
    """What stands in for the fusion when it is off: the bare bottleneck, or the mean guidance token added to it."""
    guidance: Literal["semantic", "detail"] = "semantic"
    """The view that guides: the whole image (semantic) or grid fragments (detail)."""
    main: Literal["semantic", "detail"] = "detail"
    """The view that is scored: grid fragments (detail) or the whole image (semantic)."""
    grid: int = 7
    """Fragments a side."""
    fragment: int = 32
    """Pixels a side of a fragment; grid × fragment is the recipe's size."""
    offset: Literal["random", "corner"] = "random"
    """Where in its cell a fragment is cut: drawn anew, or always at the top-left corner."""
    fragments_from: Literal["original", "resized"] = "original"
    """Fragments of the image in its own resolution, or of the resized one."""
    flips: bool = True
    """Whether the main stream is flipped in training."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """The streams in use. The main one is flipped in training, the guiding one never, whichever view each is."""
        used: dict[str, View] = {self.main: self._view(self.main, recipe, flips=self.flips and recipe.flips)}
        if self._guided:
            used[self._guide] = self._view(self.guidance, recipe, flips=False)
        return used

    def _view(self, kind: str, recipe: Recipe, *, flips: bool) -> View:
        """The whole image resized, or its fragments put together (Eq. 1–2)."""
        if kind == "semantic":
            return View("resize", recipe.size, flips=flips)
        if self.grid * self.fragment != recipe.size:
            raise UsageError(
                f"{self.grid} fragments of {self.fragment} pixels make a side of {self.grid * self.fragment}, not "
                f"{recipe.size}: set the method's grid and fragment so that their product is the recipe's size."
            )
        original = self.fragments_from == "original"
        return View("fragments", recipe.size, self.grid, self.fragment, self.offset, flips, original)

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """One GLIA block before every ViT block but the first (or before each)."""
        if "detail" in self._streams() and self.fragment % vit.shape.patch:
            raise UsageError(
                f"Fragments of {self.fragment} pixels do not lie on this backbone's {vit.shape.patch}-pixel patches: "
                f"set fragment to a multiple of {vit.shape.patch}."
            )
        places = self._places(vit.shape)
        blocks = [GliaBlock(self, vit.shape.width, refines=i < places[-1]) for i in places]
        return _TwoStreams(self, vit, dict(zip(places, blocks, strict=True)))

    def size(self, shape: VitShape) -> int:
        """The sum of `breakdown`."""
        return sum(self.breakdown(shape).values())

    def budget_choices(self, shape: VitShape) -> range:
        """Multiples of the heads, which must share it."""
        return range(self.heads, shape.width + 1, self.heads)

    def breakdown(self, shape: VitShape) -> dict[str, int]:
        """Trainable parameters by part. The last block has no GLR: nobody would read what it refines."""
        blocks, r, w = len(self._places(shape)), self.rank, shape.width
        refining = blocks - 1 if self._refines else 0
        return {
            "projection": (w + 1) * r if self._guided else 0,
            "down": blocks * mlp_size(w, r, r),
            "fusion attention": blocks * cross_attention_size(r) if self.lgf else 0,
            "refinement attention": refining * cross_attention_size(r),
            "up": blocks * mlp_size(r, w, w),
            "lambda": (blocks if self._guided else 0) + refining,
            "scale": blocks * w if self.residual == "added" else 0,
        }

    @property
    def _guided(self) -> bool:
        """Whether guidance reaches the main stream at all."""
        return self.lgf or self.without_lgf == "mean"

    @property
    def _refines(self) -> bool:
        """Whether GLR exists: refining what nobody reads would only make dead parameters."""
        return self.glr and self._guided

    @property
    def _guide(self) -> str:
        """The name of the guiding view: another one than the main view, which is flipped, though of the same kind."""
        return self.guidance if self.guidance != self.main else f"{self.guidance}_guide"

    def _streams(self) -> set[str]:
        return {self.main, self.guidance} if self._guided else {self.main}

    def _places(self, shape: VitShape) -> range:
        if self.placement == "between" and shape.depth < 2:
            raise UsageError("GLIA between blocks needs at least two blocks: use placement=before_each.")
        return range(1 if self.placement == "between" else 0, shape.depth)


class GliaBlock(nn.Module):
    """One interaction: LGF brings guidance into the main tokens (Eq. 3), GLR refines the guidance (Eq. 4)."""

    def __init__(self, options: Glia, width: int, refines: bool) -> None:
        super().__init__()
        rank = options.rank
        self.down = mlp(width, rank, rank)
        self.up = mlp(rank, width, width)
        self.fuse = CrossAttention(rank, options.heads) if options.lgf else None
        self.fuse_weight = _weight(options.lambda_init) if options._guided else None
        refines = refines and options._refines
        self.refine = CrossAttention(rank, options.heads) if refines else None
        self.refine_weight = _weight(options.lambda_init) if refines else None
        self.scale = small_random(width) if options.residual == "added" else None

    def forward(self, tokens: Tensor, guide: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(F_d, F_sd) → (F_d', F_sd')."""
        low = self.down(tokens)
        fused = low
        if self.fuse_weight is not None and guide is not None:
            # Without LGF the guidance comes as one mean token, the same for every query ("mean").
            brought = self.fuse(low, guide) if self.fuse is not None else guide.mean(1, keepdim=True)
            fused = low + self.fuse_weight * brought
        raised = self.up(fused)
        if self.scale is not None:  # the printed Eq. 3 replaces the tokens; added, they stay the ViT's own
            raised = tokens + self.scale * raised
        if self.refine is not None and guide is not None:
            guide = guide + self.refine_weight * self.refine(guide, low)
        return raised, guide


class _TwoStreams(Features):
    def __init__(self, options: Glia, vit: Vit, blocks: Mapping[int, GliaBlock]) -> None:
        super().__init__()
        self.vit, self.main = vit, options.main
        self.blocks = nn.ModuleDict({str(i): block for i, block in blocks.items()})
        self.pictures = (options.main,)
        self.project: nn.Module | None = None
        if options._guided:
            self.project = nn.Linear(vit.shape.width, options.rank)
            self.frozen = {"guide": Frozen(options._guide, "tokens", vit.tokens)}

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """F_s → F_sd; F_d through ViT and GLIA blocks in turn; the CLS of the main stream."""
        guide = self.project(inputs["guide"]) if self.project is not None else None

        def interact(i: int, tokens: Tensor) -> Tensor:
            nonlocal guide
            if str(i) not in self.blocks:
                return tokens
            tokens, guide = self.blocks[str(i)](tokens, guide)
            return tokens

        tokens = self.vit.embed(inputs[self.main])
        return self.vit.feature(tokens, interact)


def _weight(value: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(float(value)))
