"""Each protocol's table has its paper's layout, and says what is the paper's and what is ours."""

import pytest

from bench.report.table import MEASURED, Table
from tests.report.results import results_of, tables_of


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
