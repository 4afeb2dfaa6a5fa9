"""Sizes fit the backbone's patches: what was asked for is kept or refused at planning, what nobody chose is derived."""

from dataclasses import replace

import pytest

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.planning.fitting import patch_of
from bench.planning.plan import Ask, make_plan, native_size, sort_settings
from bench.planning.presets import PAPER
from bench.planning.usual import recipe_on
from bench.report.arms import arms_of
from tests.report.records import records_of
from tests.report.results import specs_of, tables_of

VIT16, DINO14 = "vit_base_patch16_224.augreg2_in21k_ft_in1k", "vit_base_patch14_dinov2.lvd142m"


def options_of(*settings, backbone="", preset="paper", methods=("glia",)):
    ask = Ask(methods=methods, protocols=("main",), preset=preset, backbone=backbone, settings=settings, splits=1)
    return make_plan(ask).specs[0].options


@pytest.mark.parametrize(
    ("name", "patch"),
    [
        (VIT16, 16),
        (DINO14, 14),
        ("vit_small_patch14_dinov2", 14),
        ("vit_base_patch16_siglip_224.webli", 16),
        ("vit_large_patch14_reg4_dinov2", 14),
        ("vit_small_patch8_224.dino", 8),
        ("test_vit.r160_in1k", 0),
    ],
)
def test_a_backbones_patch_is_read_from_its_name(name, patch):
    assert patch_of(name) == patch


@pytest.mark.parametrize(
    ("backbone", "settings", "grid", "fragment"),
    [
        (VIT16, (), 7, 32),  # the paper's size, as it always was
        (DINO14, (), 8, 28),
        (DINO14, ("size=196",), 7, 28),
        (DINO14, ("size=98",), 7, 14),  # seven patches per side: no two of them divide it
        ("vit_small_patch8_224.dino", (), 7, 32),
        (VIT16, ("grid=14",), 14, 16),
        (VIT16, ("fragment=112",), 2, 112),
        (DINO14, ("grid=2", "size=196"), 2, 98),
        (DINO14, ("grid=4", "fragment=56"), 4, 56),
    ],
)
def test_a_fragment_lies_on_whole_patches_two_wide_unless_asked_otherwise(backbone, settings, grid, fragment):
    options = options_of(*settings, backbone=backbone)
    assert (options["grid"], options["fragment"]) == (grid, fragment)


def test_the_demos_fragments_are_two_patches_wide_as_the_papers():
    options = options_of(preset="demo")
    assert (options["grid"], options["fragment"]) == (4, 28)


@pytest.mark.parametrize(
    ("backbone", "settings", "says"),
    [
        (
            VIT16,
            ("grid=5",),
            "grid=5 and fragment=32 do not make a side of 224.*grid=14 fragment=16, grid=7 fragment=32",
        ),
        (VIT16, ("fragment=14",), r"grid=16 and fragment=14 do not.*on whole 16-pixel patches"),
        (DINO14, ("grid=7", "fragment=32"), "on whole 14-pixel patches of vit_base_patch14.*grid=8 fragment=28"),
        (DINO14, ("fragment=32",), "fragment=32 do not"),
        (VIT16, ("grid=2", "fragment=32"), "grid=2 and fragment=32 do not make a side of 224"),
        (DINO14, ("size=97",), r"size=97: pictures of 97 pixels cannot be cut.*Choose size=84 or 98\."),
        (VIT16, ("size=8",), r"Choose size=16\."),
        ("test_vit.r160_in1k", ("size=96",), "grid=7 and fragment=32 do not make a side of 96. These do: .*grid=3"),
    ],
)
def test_what_does_not_fit_is_refused_at_planning_with_what_does(backbone, settings, says):
    with pytest.raises(UsageError, match=says):
        options_of(*settings, backbone=backbone)


def test_a_size_that_cannot_be_cut_into_patches_is_refused_for_every_method():
    with pytest.raises(UsageError, match="cannot be cut into the 16-pixel patches"):
        options_of("size=100", methods=("linear_probe",))


def test_a_derived_size_is_no_change_and_an_asked_one_is():
    plain = specs_of("main", "paper", "glia", ["livec"], splits=1, backbone=DINO14)
    assert plain[0].options["fragment"] == 28
    asked = [replace(spec, options={**spec.options, "grid": 16, "fragment": 14}) for spec in plain]
    changes = {arm.option_changes() for arm in arms_of(records_of(plain + asked)).values()}
    assert changes == {(), ("fragment=14", "grid=16")}


def test_backbones_of_other_patches_stand_in_one_group_of_the_pretraining_table():
    records = records_of(specs_of("pretraining", "paper", "glia", splits=1))
    table = tables_of("pretraining", records)["pretraining"]
    kinds = [row.lead for row in table.rows if not row.block]
    assert ("GLIA (8.04M)", "DINOv2") in kinds
    assert len(kinds) == 11


def test_a_budget_turns_the_size_and_leaves_the_fragments_to_the_backbone():
    ask = {"methods": ("glia",), "preset": "paper", "backbone": DINO14, "budget": "9M", "splits": 1}
    for protocol in ("main", "strategies_matched"):
        spec = make_plan(Ask(**ask, protocols=(protocol,))).specs[0]
        assert spec.options["fragment"] == 28
        assert spec.options["rank"] != METHODS.card("glia").defaults()["rank"]


SIGLIP2, CLIP_L, DINO3 = (
    "vit_base_patch16_siglip_512.v2_webli",
    "vit_large_patch14_clip_336.openai",
    "vit_base_patch16_dinov3.lvd1689m",
)


def recipe_of(*settings, backbone="", preset="paper", method="lora", dataset="koniq10k"):
    ask = Ask((method,), ("main",), preset, backbone=backbone, settings=settings, splits=1, datasets=(dataset,))
    return make_plan(ask).specs[0].recipe


@pytest.mark.parametrize(
    ("backbone", "size"), [(SIGLIP2, 512), (CLIP_L, 336), (DINO3, 256), (DINO14, 518), (VIT16, 224)]
)
def test_the_native_size_is_the_number_that_a_backbone_was_pretrained_at(backbone, size):
    recipe = recipe_of("size=native", backbone=backbone)
    assert recipe.size == size
    assert recipe.size / recipe.short_side == pytest.approx(224 / 384, rel=2e-3), "a view is as large a share as ever"


def test_a_run_at_the_native_size_is_the_run_at_that_number():
    typed, native = (("size=336", "short_side=576"), ("size=native",))
    specs = [
        make_plan(Ask(("lora",), ("main",), "paper", CLIP_L, settings=one, splits=1)).specs for one in (typed, native)
    ]
    by_name = [{spec.train: spec.key for spec in some if spec.recipe.short_side} for some in specs]
    assert by_name[0]["koniq10k"] == by_name[1]["koniq10k"]


def test_who_asks_for_a_short_side_beside_the_native_size_has_it_and_own_sizes_stay():
    assert recipe_of("size=native", "short_side=400", backbone=CLIP_L).short_side == 400
    assert recipe_of("size=native", backbone=CLIP_L, dataset="livec").short_side == 0


def test_one_method_alone_may_have_its_native_size():
    ask = Ask(("lora", "glia"), ("main",), "paper", CLIP_L, settings=("lora.size=native", "size=224"), splits=1)
    assert {(spec.method, spec.recipe.size) for spec in make_plan(ask).specs} == {("lora", 336), ("glia", 224)}


def test_a_method_that_reads_no_vit_keeps_the_usual_size():
    assert recipe_of("size=native", method="mean").size == 224


def test_a_native_size_that_patches_do_not_tile_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"size=384: .*Choose size=378 or 392"):
        recipe_of("size=native", backbone="vit_so400m_patch14_siglip_384.webli")


def test_a_backbone_that_timm_does_not_know_has_no_native_size():
    with pytest.raises(UsageError, match="timm has no network"):
        recipe_of("size=native", backbone="vit_huge_patch99")


def test_another_word_than_native_is_no_size():
    with pytest.raises(UsageError, match="not a whole number.*native is what the backbone was pretrained at"):
        recipe_of("size=naive")


def test_a_pretraining_table_keeps_native_sizes_in_one_group_and_says_them():
    ask = Ask(("lora",), ("pretraining",), "paper", settings=("size=native",), splits=1, datasets=("koniq10k",))
    table = tables_of("pretraining", records_of(make_plan(ask).specs))["pretraining"]
    kinds = [row.lead[1] for row in table.rows if not row.block]
    assert len(kinds) == 11
    assert {"DINOv3, 256 px", "DINOv2, 518 px", "ImageNet-21K"} <= set(kinds)


@pytest.mark.parametrize("dataset", ["koniq10k", "livec"])
@pytest.mark.parametrize("settings", [(), ("size=native",), ("size=336", "epochs=3")])
def test_the_recipe_of_a_set_is_that_of_its_runs(dataset, settings):
    asked = sort_settings(settings, [], []).recipe
    planned = make_plan(Ask(("lora",), ("main",), "paper", CLIP_L, datasets=(dataset,), settings=settings, splits=1))
    assert recipe_on(PAPER, dataset, asked, CLIP_L, native_size) == planned.specs[0].recipe
