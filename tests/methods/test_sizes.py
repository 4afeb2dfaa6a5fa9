"""Trainable parameters on ViT-B/16, pinned to the last one."""

from __future__ import annotations

import pytest

from bench.core.registry import METHODS
from bench.models.head import quality_head
from tests.methods.vits import vit_b16_shape

VIT_B16 = vit_b16_shape()

PINNED = [
    ("linear_probe", {}, 0),
    ("full_finetune", {}, 85_798_656),
    ("adapter", {}, 2_379_264),
    ("adapter", {"position": "pfeiffer"}, 1_189_632),
    ("adapter", {"position": "adaptformer"}, 1_189_632),
    ("lora", {}, 294_912),
    ("vpt", {}, 460_800),
    ("vpt", {"kind": "shallow"}, 38_400),
    ("bitfit", {}, 102_912),
    ("ssf", {}, 205_824),
    ("loda", {}, 8_927_488 - 768),
    ("glia", {}, 8_035_861),
    ("glia", {"placement": "before_each"}, 8_763_415),
    ("peft:dora", {}, 322_560),
    ("peft:rslora", {}, 294_912),
    ("peft:pissa", {}, 294_912),
    ("peft:vera", {}, 30_720),
    ("peft:boft", {}, 101_376),
    ("peft:oft", {}, 142_848),
    ("peft:ia3", {}, 64_512),
    ("peft:loha", {}, 589_824),
    ("peft:lokr", {}, 21_504),
    ("peft:fourierft", {}, 12_000),
    ("peft:hra", {}, 73_728),
    ("peft:randlora", {}, 230_400),
    ("peft:ln_tuning", {}, 38_400),
    ("ridge", {}, 769),
    ("ridge_cnn", {}, 4_097),
    ("niqe", {}, 1_332),
    ("mean", {}, 1),
    ("ensemble", {}, 0),
    ("hyperiqa", {}, 27_375_368),
    ("dbcnn_vgg", {}, 14_714_688),
    ("deiqt", {}, 95_255_040),
    ("maniqa", {}, 107_233_426),
]


OF_THE_DATA = {"brisque", "ilniqe", "rali", "rali_noalign", "distortion_oracle", "pyiqa"}
"""What they learn depends on the training part: its support vectors, its components, its clusters, its cells."""


def test_every_comparator_is_pinned_or_says_that_the_data_decide() -> None:
    pinned = {name for name, _, _ in PINNED}
    built_in = {name for name in METHODS if METHODS.origin(name) == "built-in"}
    assert {name for name in built_in if not METHODS.card(name).facts["family"]} <= pinned | OF_THE_DATA
    assert all(METHODS.make(name).size(VIT_B16) < 0 for name in OF_THE_DATA - {"pyiqa"})


@pytest.mark.parametrize(("name", "options", "size"), PINNED, ids=lambda value: str(value))
def test_the_documented_size_on_vit_b16_is_the_known_one(name: str, options: dict, size: int) -> None:
    assert METHODS.make(name, options).size(VIT_B16) == size


def test_the_head_adds_768_or_769() -> None:
    counts = [sum(p.numel() for p in quality_head(kind, VIT_B16.width).parameters()) for kind in ("cosine", "linear")]
    assert counts == [768, 769]


def test_lodas_parts_add_up_to_the_papers_nine_millions() -> None:
    assert METHODS.make("loda").breakdown(VIT_B16) == {
        "extractor": 393_472,
        "down": 640_512,
        "attention": 197_376,
        "up": 7_686_144,
        "projection": 0,
        "scale": 9_216,
    }


def test_glias_parts_add_up_to_the_papers_eight_millions() -> None:
    assert METHODS.make("glia").breakdown(VIT_B16) == {
        "projection": 49_216,
        "down": 587_136,
        "fusion attention": 180_928,
        "refinement attention": 164_480,
        "up": 7_045_632,
        "lambda": 21,
        "scale": 8_448,
    }


def test_a_glia_without_lgf_pays_for_no_guidance() -> None:
    parts = METHODS.make("glia", {"lgf": False}).breakdown(VIT_B16)
    assert parts["projection"] == parts["fusion attention"] == parts["refinement attention"] == parts["lambda"] == 0


@pytest.mark.parametrize("name", [name for name in METHODS if not METHODS.card(name).facts["family"]])
def test_the_size_that_the_list_shows_without_torch_is_the_formulas(name: str) -> None:
    facts, size = METHODS.card(name).facts, METHODS.make(name).size(VIT_B16)
    assert facts["vit_b"] == (size if size >= 0 else None)  # of none, the data decide it
