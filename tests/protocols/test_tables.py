"""Each protocol's table has its paper's layout, and says what is the paper's and what is ours."""

from dataclasses import replace

import pytest

from bench.core.spec import Recipe
from bench.planning.presets import PAPER
from bench.planning.usual import usual_recipe
from bench.report.table import MEASURED, Number, Table
from tests.report.records import records_of
from tests.report.results import results_of, specs_of, tables_of


def leads(table: Table, block: str = MEASURED) -> list[tuple[str, ...]]:
    """The leading cells of a block."""
    return [row.lead for row in table.rows if row.block == block]


def test_components_has_glias_three_rows_and_its_published_ones():
    table = tables_of("components", results_of("components", "paper", splits=2))["components"]
    assert leads(table) == leads(table, "GLIA, Table 4") == [("✓", "✗"), ("✗", "✓"), ("✓", "✓")]
    assert any("PLCC before SRCC" in note for note in table.notes)


def test_guidance_has_the_four_pairings_and_the_oddity_as_a_footnote():
    table = tables_of("guidance", results_of("guidance", "paper", splits=2))["guidance"]
    assert (
        leads(table)
        == leads(table, "GLIA, Table 5")
        == [("x_s", "x_s"), ("x_d", "x_d"), ("x_s", "x_d"), ("x_d", "x_s")]
    )
    assert list(dict.fromkeys(group for group, _ in table.header)) == ["LIVEC", "KonIQ-10k"], "GLIA's order"
    odd = next(row for row in table.rows if row.block == "GLIA, Table 5")
    assert "0.901" in odd.notes[0]


def test_modules_goes_from_the_plain_vit_to_loda():
    table = tables_of("modules", results_of("modules", "paper", splits=10))["modules"]
    assert leads(table) == [("ViT (85.8M)",), ("ViT + Extractor (8.93M)",), ("LoDa (8.93M)",)]
    assert leads(table, "LoDa, Table 7") == [("ViT",), ("ViT + Extractor",), ("LoDa",)]
    vit = table.rows[0].cells[0]
    assert vit.difference == pytest.approx(vit.value - 0.889)


def test_data_efficiency_ranks_within_each_part():
    table = tables_of("data_efficiency", results_of("data_efficiency", "paper", "loda,glia", splits=2))[
        "data_efficiency"
    ]
    assert [lead[0] for lead in leads(table)] == ["20%", "20%", "40%", "40%", "60%", "60%", "80%", "80%"]
    published = [row for row in table.rows if row.block == "GLIA, Table 3"]
    best = [row.lead for row in published if row.cells[0].rank == 1]
    assert best == [("20%", "GLIA (8M)"), ("40%", "GLIA (8M)"), ("60%", "GLIA (8M)")] or best == [
        ("20%", "GLIA"),
        ("40%", "GLIA"),
        ("60%", "GLIA"),
    ]


def test_the_full_part_of_folds_is_called_by_what_they_train_on():
    (table,) = tables_of("data_efficiency", results_of("data_efficiency", "demo", "loda,glia", splits=3)).values()
    assert [lead[0] for lead in leads(table)][::2] == ["20%", "40%", "60%", "66.7%"]
    assert not any("20%." in note for note in table.notes)


def test_pretraining_shows_lodas_four_kinds_and_ours():
    table = tables_of("pretraining", results_of("pretraining", "paper", splits=10))["pretraining"]
    assert [lead[1] for lead in leads(table)] == [
        "ImageNet-1K",
        "ImageNet-21K",
        "MAE",
        "Multi-Modal (CLIP)",
        "DINOv2",
        "SigLIP",
        "SigLIP 2",
        "DINOv3",
        "Perception Encoder",
        "EVA-02",
        "Multi-Modal (CLIP), ViT-L",
    ]
    assert [lead[1] for lead in leads(table, "LoDa, Table 3")] == ["MAE", "Multi-Modal", "ImageNet-1K", "ImageNet-21K"]
    mae = next(row for row in table.rows if row.lead[1] == "MAE" and row.block == MEASURED)
    assert mae.cells[0].difference == pytest.approx(mae.cells[0].value - 0.917)


def test_the_demos_pretraining_is_compared_with_random_weights():
    table = tables_of("pretraining", results_of("pretraining", "demo"))["pretraining_demo"]
    assert [lead[1] for lead in leads(table)] == ["DINOv2", "none (random weights)"]


def test_scale_goes_from_tiny_to_large():
    table = tables_of("scale", results_of("scale", "paper", splits=2))["scale"]
    assert [lead[1] for lead in leads(table)] == ["ViT-T", "ViT-S", "ViT-B", "ViT-L"]
    assert [lead[1] for lead in leads(table, "LoDa, Table 4")] == ["ViT-T", "ViT-S", "ViT-B"]


def test_strategies_carries_the_notes_on_copied_rows():
    table = tables_of("strategies", results_of("strategies", "paper", splits=2))["strategies"]
    notes = {row.lead[0]: row.notes for row in table.rows if row.block == "GLIA, Table 6"}
    assert notes["Full fine-tune"] == ("LoDa's Table 6 has 0.874 SRCC on KonIQ-10k for it, GLIA's 0.929.",)
    assert notes["VPT"] == ("Copied from LoDa's Table 6.",)


def test_matched_strategies_stand_apart_and_say_their_budget():
    results = results_of("strategies,strategies_matched", "demo", "lora,loda,glia")
    plain = tables_of("strategies", results)["strategies_demo"]
    matched = tables_of("strategies_matched", results)["strategies_matched_2000000_demo"]
    assert len(leads(plain)) == len(leads(matched)) == 3
    assert "2,000,000 trainable parameters" in matched.title
    assert any(note.startswith("Sized to a budget") for note in matched.notes)
    assert "budget=" not in "".join(row.label for row in plain.rows)


def test_cross_has_two_tiers_and_says_what_its_source_is():
    tables = tables_of("cross", results_of("cross", "paper", "glia,lora", splits=2))
    assert tables["cross"].tiers == ("Training", "Testing")
    assert [pair for pair in tables["cross"].header if not pair[1].startswith("Δ")][0] == ("FLIVE", "KonIQ-10k")
    assert any("do not say whether their sources are whole" in note for note in tables["cross"].notes)


def test_the_ablation_shows_every_parts_table():
    names = set(tables_of("ablation", results_of("ablation", "demo", splits=1)))
    assert {
        "components_demo",
        "guidance_demo",
        "strategies_demo",
        "pretraining_demo",
        "scale_demo",
        "modules_demo",
    } <= names
    assert "strategies_matched_2000000_demo" in names


def of_koniq(splits=1, **request):
    return specs_of("pretraining", "paper", "loda", ("koniq10k",), splits, **request)


def test_a_backbone_with_weights_from_a_file_is_not_called_by_the_pretraining_it_lacks():
    file = "sha256:09ecb6ebc8bcefc7"
    table = tables_of("pretraining", records_of(of_koniq() + of_koniq(weights=file)))["pretraining"]
    foreign = [row for row in table.rows if row.block == MEASURED and file in row.lead[1]]
    assert len(foreign) == len({row.lead for row in foreign}) == len(PAPER.backbones)
    assert {number.difference for row in foreign for number in row.cells if isinstance(number, Number)} == {None}


def test_backbones_that_nobody_trained_are_told_apart_by_their_names():
    table = tables_of("pretraining", records_of(of_koniq(weights="random")))["pretraining"]
    assert len(set(leads(table))) == len(PAPER.backbones)
    assert leads(table)[1] == ("LoDa (8.93M)", "none (random weights)")


@pytest.mark.parametrize(
    ("recipe", "label"),
    [
        ({"short_side": 512}, "MAE, short_side=512"),
        ({"size": 448, "short_side": 768}, "MAE, 448 px"),
        ({"size": 448}, "MAE, 448 px, short_side=384"),
    ],
)
def test_a_pretraining_row_says_its_size_and_short_side_and_is_held_against_the_papers_alone(recipe, label):
    plain = [spec for spec in of_koniq(10) if spec.backbone.endswith((".mae", ".augreg2_in21k_ft_in1k"))]
    changed = [replace(spec, recipe=replace(spec.recipe, **recipe)) for spec in plain]
    table = tables_of("pretraining", records_of(plain + changed))["pretraining"]
    rows = {row.lead[1]: row for row in table.rows if row.block == MEASURED}
    assert rows[label].cells[0].difference is None
    assert rows["MAE"].cells[0].difference is not None


CLIP = "vit_base_patch16_clip_224.openai"


def of_lora(protocol="main", datasets=("koniq10k",), **changes):
    """The runs of LoRA in two splits."""
    specs = specs_of(protocol, "paper", "lora", datasets, 2)
    return records_of(replace(spec, **changes) for spec in specs)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone": CLIP}, f"Not here but in the table pretraining: LoRA, backbone={CLIP}."),
        ({"budget": 8_000_000}, "Not here but in the table strategies_matched: LoRA, budget=8000000."),
    ],
)
def test_a_row_that_another_table_shows_is_named_with_that_table(changes, said):
    table = tables_of("main", of_lora() + of_lora(**changes))["main"]
    assert leads(table) == [("LoRA (296K)",)]
    assert said in table.notes


def test_of_many_rows_that_another_table_shows_a_few_are_named():
    everything = records_of(specs_of("main,components,guidance,modules,pretraining", "paper", splits=1))
    notes = [note for note in tables_of("main", everything)["main"].notes if note.startswith("Not here")]
    assert [note.partition(":")[0].rpartition(" ")[2] for note in notes] == [
        "modules", "pretraining", "components", "guidance",
    ]  # fmt: skip
    assert next(note for note in notes if "pretraining" in note).endswith(" and 7 more.")


def test_a_row_that_no_other_table_shows_stays_whatever_it_was_made_for():
    elsewhere = of_lora(datasets=("spaq",)) + of_lora(datasets=("spaq",), backbone=CLIP)
    assert len(leads(tables_of("main", elsewhere)["main"])) == 2, "SPAQ is none of LoDa's Table 3"
    across = of_lora("cross", ("koniq10k", "livec")) + of_lora("cross", ("koniq10k", "livec"), backbone=CLIP)
    assert len(leads(tables_of("cross", across)["cross"])) == 2
    alone = records_of(
        replace(spec, options={**spec.options, "lgf": False})
        for spec in specs_of("main", "paper", "glia", ("koniq10k",), 2)
    )
    assert len(leads(tables_of("main", alone)["main"])) == 1, "an ablation needs two rows"


def test_a_sized_method_with_a_part_switched_off_is_not_said_to_have_the_budgets_size():
    sized = [replace(spec, budget=8_000_000) for spec in specs_of("components", "paper", "glia", ("koniq10k",), 2)]
    table = tables_of("strategies_matched", records_of(sized))["strategies_matched_8000000"]
    assert [lead[0].split(" (")[0] for lead in leads(table)] == ["GLIA"]


def test_the_note_on_lodas_multi_modal_row_says_what_loda_cites():
    table = tables_of("pretraining", records_of(of_koniq()))["pretraining"]
    assert any("LoDa cites OpenCLIP's models" in note and note.endswith("OpenAI's CLIP.") for note in table.notes)


@pytest.mark.parametrize("method", ["hyperiqa", "deiqt"])
def test_a_number_of_the_last_epoch_is_not_held_against_one_of_the_best(method):
    specs = specs_of("main", "paper", method, ("koniq10k",), 10)
    own = [
        replace(spec, recipe_from="own", recipe=Recipe(**usual_recipe(PAPER, "koniq10k", method, own=True)))
        for spec in specs
    ]
    for runs in (specs, own):
        table = tables_of("main", records_of(runs))["main"]
        assert not any(name.startswith("Δ") for _, name in table.header)


def test_a_number_of_bf16_is_not_held_against_the_papers():
    fp32, bf16 = (
        tables_of("strategies", records_of(specs_of("strategies", "paper", "lora,vpt", ("koniq10k",), 10, precision=p)))
        for p in ("fp32", "bf16")
    )
    assert any(name == "Δ" for _, name in fp32["strategies"].header)
    assert not any(name == "Δ" for _, name in bf16["strategies"].header)
