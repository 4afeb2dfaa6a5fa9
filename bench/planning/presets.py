"""The presets as plain data: `paper` is LoDa's protocol; `demo` and `study` need no data of the user's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.core.errors import UsageError
from bench.core.mixes import sets_of
from bench.core.spec import Scalar


@dataclass(frozen=True)
class Preset:
    """Which backbone, datasets and recipe a protocol uses unless told otherwise.

    `backbones` and `scales` name the ViTs of the pretraining and scale protocols; the other tuples name datasets.
    """

    name: Literal["demo", "study", "paper"]
    backbone: str
    main: tuple[str, ...]
    cross: tuple[tuple[str, str], ...]
    data_efficiency: tuple[str, ...]
    components: tuple[str, ...]
    guidance: tuple[str, ...]
    strategies: tuple[str, ...]
    modules: tuple[str, ...]
    pretraining: tuple[str, ...]
    scale: tuple[str, ...]
    backbones: tuple[str, ...]
    scales: tuple[str, ...]
    distortions: tuple[str, ...]
    gmad: tuple[tuple[str, str], ...]
    official: tuple[str, ...] = ()
    koniq_cross: tuple[str, ...] = ()
    """What models of KonIQ-10k's official part are tested on."""
    matrix: tuple[str, ...] = ()
    joint: tuple[str, ...] = ()
    """Sets that are trained on together, as in "a+b"; tested on them and on those of `matrix`."""
    sensitivity: tuple[str, ...] = ()
    """Where the recipe is turned, a switch at a time: with contents and without."""
    splits: int = 10
    seeds: int = 1
    split_rule: str = "random"
    """How its own sets are split; a user's own sets are split at random unless he says otherwise."""
    tuning: str = ""
    """A set that is kept for `bench tune` alone; without one, settings are chosen inside each split's training part."""
    tuning_splits: int = 3
    """Random splits of that set."""
    rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Learning rates that `bench tune` tries for single methods, where not the usual ones."""
    recipe: Mapping[str, Scalar] = field(default_factory=dict)
    per_dataset: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    method_options: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    method_recipe: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)

    @property
    def sets(self) -> frozenset[str]:
        """Every set that one of the protocols uses."""
        ablations = (self.components, self.guidance, self.strategies, self.modules, self.pretraining, self.scale)
        others = (self.main, self.data_efficiency, self.distortions, *self.cross, *self.gmad)
        newer = (self.official, self.koniq_cross, self.matrix, *map(sets_of, self.joint), self.sensitivity)
        return frozenset(name for names in (*ablations, *others, *newer) for name in names)

    def rule_for(self, dataset: str) -> str:
        """How a set is split where nobody says; those of a mix at random where they differ in it."""
        return self.split_rule if set(sets_of(dataset)) <= set(self.main) else "random"

    @property
    def made(self) -> bool:
        """Whether its sets are made here, with labels that are no opinions on these very pictures."""
        return self.name != "paper"

    @property
    def suffix(self) -> str:
        """What sets the files of its tables and figures apart."""
        return f"_{self.name}" if self.made else ""

    @property
    def heading(self) -> str:
        """What its tables' titles begin with."""
        return f"{self.name.capitalize()}." if self.made else ""

    def dataset_recipe(self, dataset: str) -> Mapping[str, Scalar]:
        """What the recipe of one dataset changes; of a mix, what all of its sets change alike."""
        first, *others = (self.per_dataset.get(name, {}) for name in sets_of(dataset))
        return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


EIGHT = ("live", "csiq", "tid2013", "kadid10k", "koniq10k", "livec", "spaq", "flive")
"""The papers' sets."""

PAPER = Preset(
    name="paper",
    backbone="vit_base_patch16_224.augreg2_in21k_ft_in1k",
    main=EIGHT,
    cross=(
        ("flive", "koniq10k"),
        ("flive", "livec"),
        ("livec", "koniq10k"),
        ("koniq10k", "livec"),
        ("live", "csiq"),
        ("csiq", "live"),
    ),
    data_efficiency=("koniq10k", "livec"),
    components=("csiq", "koniq10k"),
    guidance=("livec", "koniq10k"),
    strategies=("kadid10k", "koniq10k", "spaq"),
    modules=("kadid10k", "koniq10k"),
    pretraining=("kadid10k", "koniq10k"),
    scale=("kadid10k", "koniq10k", "spaq"),
    backbones=(
        "vit_base_patch16_224.augreg_in1k",
        "vit_base_patch16_224.augreg2_in21k_ft_in1k",
        "vit_base_patch16_224.mae",
        "vit_base_patch16_clip_224.openai",
        "vit_base_patch14_dinov2.lvd142m",
        "vit_base_patch16_siglip_224.webli",
        "vit_base_patch16_siglip_224.v2_webli",
        "vit_base_patch16_dinov3.lvd1689m",
        "vit_pe_core_base_patch16_224.fb",
        "eva02_base_patch14_224.mim_in22k",
        "vit_large_patch14_clip_336.openai",
    ),
    scales=(
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        "vit_small_patch16_224.augreg_in21k_ft_in1k",
        "vit_base_patch16_224.augreg2_in21k_ft_in1k",
        "vit_large_patch16_224.augreg_in21k_ft_in1k",
    ),
    distortions=("kadid10k",),
    gmad=(("koniq10k", "livec"),),
    official=("koniq10k", "flive", "uhdiqa"),
    koniq_cross=("spaq", "kadid10k", "pipal", "livec", "agiqa3k", "csiq", "flive"),
    matrix=(*EIGHT, "agiqa3k", "pipal", "bid", "uhdiqa", "aigciqa2023"),
    joint=("kadid10k+koniq10k+spaq",),
    sensitivity=("csiq", "koniq10k"),
    # Crops per image and epoch as in LoDa's code, which has no CSIQ; TID2013 and LIVEC keep their own size.
    per_dataset={
        "live": {"train_views": 5},
        "csiq": {"train_views": 5},
        "tid2013": {"train_views": 10, "short_side": 0},
        "kadid10k": {"train_views": 3},
        "livec": {"train_views": 5, "short_side": 0},
        "koniq10k": {"train_views": 3},
        "spaq": {"train_views": 3},
        "flive": {"train_views": 1},
        # No paper of this protocol has these: as many views as LoDa takes of sets of their size.
        **dict.fromkeys(("agiqa3k", "bid", "aigciqa2023"), {"train_views": 5}),
        "pipal": {"train_views": 1},
        "uhdiqa": {"train_views": 3},
    },
)

DEMO = Preset(
    name="demo",
    backbone="vit_small_patch14_dinov2",
    main=("demo_a", "demo_b", "demo_wild"),
    cross=(("demo_a", "demo_b"), ("demo_a", "demo_wild")),
    data_efficiency=("demo_a", "demo_wild"),
    components=("demo_a", "demo_wild"),
    guidance=("demo_a", "demo_wild"),
    strategies=("demo_a", "demo_wild"),
    modules=("demo_a", "demo_wild"),
    pretraining=("demo_a", "demo_wild"),
    scale=("demo_a", "demo_wild"),
    backbones=("vit_small_patch14_dinov2",),
    scales=("vit_small_patch14_dinov2",),
    distortions=("demo_a", "demo_b"),
    gmad=(("demo_a", "demo_b"),),
    matrix=("demo_a", "demo_b", "demo_wild"),
    joint=("demo_a+demo_wild",),
    sensitivity=("demo_a", "demo_wild"),
    splits=3,
    split_rule="kfold:3",
    # The study's proportions. Few images and epochs want small batches and a high rate. Two methods would not train so,
    # and a baseline that does not is none: the linear probe is given more epochs, which cost it next to nothing, and
    # both it and a whole ViT their own rates (docs/demo.md).
    recipe={"epochs": 4, "batch": 16, "lr": 2e-3, "short_side": 192, "size": 112, "test_views": 4},
    method_recipe={"linear_probe": {"epochs": 12, "lr": 1e-2}, "full_finetune": {"lr": 2e-5}},
    method_options={"loda": {"cnn": "tf_efficientnet_lite0"}, "glia": {"fragment": 28, "grid": 4}},
)

HALF_DECADES = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)

STUDY = Preset(
    name="study",
    backbone="vit_small_patch14_dinov2",
    main=("study", "study_metric"),
    cross=(),
    data_efficiency=("study",),
    components=("study",),
    guidance=("study",),
    strategies=("study",),
    modules=("study",),
    pretraining=("study",),
    scale=("study",),
    backbones=("vit_small_patch14_dinov2",),
    scales=("vit_small_patch14_dinov2",),
    distortions=("study",),
    gmad=(),
    joint=("study+study_metric",),
    sensitivity=("study",),
    splits=7,
    seeds=3,
    split_rule="kfold:7",
    # The papers' proportions at half their size: a view is as large a share of a picture as 224 pixels of 384, and a
    # fragment of GLIA's is two by two patches. Every method has the same recipe; its rate is for `bench tune`. The
    # linear probe has four times the epochs, which take it as long as three take others: after three it scores .14
    # where ridge regression on the very same features scores .4, and a baseline that does not train is none.
    recipe={
        "epochs": 3,
        "batch": 32,
        "lr": 1e-3,
        "warmup": 20,
        "clip": 1.0,
        "short_side": 192,
        "size": 112,
        "test_views": 4,
    },
    # Two photographs of the three are trained on in a split: with three views per picture and half the batch a rate is
    # chosen for as many steps as the study then makes. With twice the steps the best rates were past their cliff.
    per_dataset={"study_tune": {"train_views": 3, "batch": 16}},
    method_recipe={"linear_probe": {"epochs": 12}},
    method_options={"loda": {"cnn": "tf_efficientnet_lite0"}, "glia": {"fragment": 28, "grid": 4}},
    tuning="study_tune",
    rates={
        "full_finetune": HALF_DECADES[:7],
        **dict.fromkeys(("linear_probe", "adapter", "lora", "vpt", "loda", "glia"), HALF_DECADES[4:]),
    },
)

PRESETS = {preset.name: preset for preset in (DEMO, STUDY, PAPER)}


def in_order(names: Collection[str]) -> list[str]:
    """Presets as tables come after one another: the paper's first, the demo last."""
    return [name for name in reversed(PRESETS) if name in names]


def made_sets() -> frozenset[str]:
    """The sets that presets make themselves; all others are somebody's own or the papers'."""
    synthetic = [preset for preset in PRESETS.values() if preset.made]
    return frozenset(name for preset in synthetic for name in (*preset.main, preset.tuning) if name)


def preset_named(name: str) -> Preset:
    """The preset of a name; an unknown one is an error."""
    if name not in PRESETS:
        raise UsageError(f"Unknown preset {name!r}. There are: {', '.join(PRESETS)}.")
    return PRESETS[name]
