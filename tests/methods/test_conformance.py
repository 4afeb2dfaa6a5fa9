"""Every registered method, every variant and every pinned tuner shows what a method must show."""

from __future__ import annotations

import pytest

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.models.conformance import check_method, tiny_vit
from bench.models.method import Features, Method, ViewFeature
from methods.adapter import Bottleneck
from methods.peft import TUNERS
from tests.methods.vits import SMALL_CNN

VARIANTS: dict[str, list[dict]] = {
    "glia": [
        {},
        {"lgf": False},
        {"lgf": False, "glr": False},
        {"lgf": False, "without_lgf": "mean"},
        {"glr": False},
        {"residual": "literal"},
        {"placement": "before_each"},
        {"offset": "corner", "flips": False},
        {"guidance": "semantic", "main": "semantic"},
        {"guidance": "detail", "main": "detail"},
        {"guidance": "detail", "main": "semantic"},
        {"rank": 24, "heads": 3, "lambda_init": 1.0},
    ],
    "adapter": [{"position": position} for position in ("houlsby", "pfeiffer", "adaptformer")],
    "ridge_cnn": [{"cnn": SMALL_CNN}, {"cnn": SMALL_CNN, "scales": 1}],
    "hyperiqa": [{"cnn": SMALL_CNN}],
    "dbcnn_vgg": [{"cnn": SMALL_CNN, "stage": "last"}],
    "deiqt": [{}, {"queries": 1, "heads": 1}],
    "maniqa": [{}, {"recut": True, "view": "resized"}],
    "vpt": [{"kind": kind} for kind in ("deep", "shallow")],
    "loda": [
        {"cnn": SMALL_CNN},
        {"cnn": SMALL_CNN, "bn": "train"},
        {"cnn": SMALL_CNN, "projection": "eq4"},
        {"cnn": SMALL_CNN, "injector": False},
    ],
}
NARROW = {"vera": "r=8", "oft": "oft_block_size=16", "fourierft": "n_frequency=50", "randlora": "r=8"}
SLOW = {"ilniqe": pytest.mark.slow}  # it looks at many pictures in double precision
CASES = [
    *(
        pytest.param(name, options, marks=SLOW.get(name, ()))
        for name in METHODS
        if not METHODS.card(name).facts["family"]
        for options in VARIANTS.get(name, [{}])
    ),
    *((f"peft:{tuner}", {"config": NARROW.get(tuner, "")}) for tuner in TUNERS),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value))
def test_a_method_is_what_its_name_says(name: str, options: dict) -> None:
    failed = [result for result in check_method(name, options) if not result.passed]
    assert not failed


class _Fake(Method):
    """A method that does what `flaw` says."""

    flaw = ""

    def assemble(self, vit, toolbox) -> Features:
        import torch
        from torch import nn

        features = ViewFeature(vit)
        features.used = nn.Parameter(torch.zeros(48))
        outer = self.flaw

        def forward(inputs):
            pooled = vit(inputs["crop"]) + features.used
            if outer == "moves":
                vit.model.cls_token.data += 1e-3
            if outer == "random":
                pooled = pooled + torch.rand_like(pooled)
            if outer == "order":
                pooled = pooled + torch.arange(len(pooled)).unsqueeze(1) * torch.linspace(0, 1, 48)
            return pooled if outer != "nan" else pooled * float("nan")

        features.forward = forward
        if outer == "dead":
            features.unused = nn.Parameter(torch.zeros(3))
        return features

    def size(self, shape) -> int:
        return 48 + (3 if self.flaw == "dead" else 0) + (1 if self.flaw == "size" else 0)

    def starts_as_identity(self) -> bool:
        return self.flaw != "random"


@pytest.mark.parametrize(
    ("flaw", "broken"),
    [
        ("", set()),
        ("size", {"trainable parameters are as documented"}),
        ("dead", {"every trainable tensor gets a gradient"}),
        ("nan", {"scores are finite and of the right shape", "a fresh module is the identity"}),
        ("moves", {"frozen tensors stay bit-identical", "evaluation is deterministic"}),
        ("random", {"evaluation is deterministic", "batch order changes nothing"}),
        ("order", {"batch order changes nothing", "a fresh module is the identity"}),
    ],
)
def test_a_flaw_fails_the_check_that_is_about_it(flaw: str, broken: set[str], monkeypatch, own_methods) -> None:
    METHODS.register("flawed", f"{__file__}:_Fake", "a test")
    monkeypatch.setattr(METHODS, "load", lambda name: type("Flawed", (_Fake,), {"flaw": flaw}))
    failed = {result.name for result in check_method("flawed") if not result.passed}
    assert broken <= failed
    assert broken or not failed


class _Tied(Method):
    """One adapter that all blocks share."""

    def assemble(self, vit, toolbox) -> Features:
        shared = Bottleneck(vit.shape.width, 4, 0.01)
        for number in range(vit.shape.depth):
            vit.append(f"blocks.{number}.ls2", shared)
        return ViewFeature(vit)

    def size(self, shape) -> int:
        return (shape.width + 1) * 4 + 5 * shape.width


def test_a_module_that_several_blocks_share_is_trained_under_all_its_names(own_methods) -> None:
    METHODS.register("tied", f"{__file__}:_Tied", "a test")
    frozen = {result.name: result for result in check_method("tied")}["frozen tensors stay bit-identical"]
    assert frozen.passed, frozen.detail


def test_a_refused_backbone_is_an_error_and_not_a_failed_check() -> None:
    with pytest.raises(UsageError, match="product is the recipe's size"):
        check_method("glia", {"grid": 5})


def test_the_tiny_backbone_is_the_same_at_every_call() -> None:
    first, second = tiny_vit().state_dict(), tiny_vit().state_dict()
    assert all(first[name].equal(second[name]) for name in first)
