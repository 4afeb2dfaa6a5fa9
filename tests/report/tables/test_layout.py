"""What a table says of complete, partial, failed, changed and mixed runs."""

from dataclasses import replace

import numpy as np
import pytest

from bench.core.code import NUMERICS
from bench.records.results import Results
from bench.report.table import MEASURED, Number, Row, Table
from bench.report.tables.fill import dataset_title
from tests.report.records import record_of, records_of
from tests.report.results import results_of, specs_of, tables_of


def row_named(table: Table, start: str, block: str = MEASURED) -> Row:
    """The first row of a block whose label starts so."""
    return next(row for row in table.rows if row.block == block and row.label.startswith(start))


@pytest.fixture(scope="module")
def specs():
    """Three methods on two of the papers' sets, ten splits."""
    return specs_of("main", "paper", "linear_probe,lora,glia", ["livec", "koniq10k"])


@pytest.fixture(scope="module")
def records(specs):
    """A record of each."""
    return records_of(specs)


@pytest.fixture(scope="module")
def main(records):
    """Their main table."""
    return tables_of("main", records)["main"]


def test_a_number_is_the_median_over_the_splits(main, records):
    values = sorted(
        record.value("livec:test", "srcc")
        for record in records
        if record.spec.method == "lora" and record.spec.train == "livec"
    )
    at = main.header.index((dataset_title("livec"), "SRCC"))
    cell = row_named(main, "LoRA").cells[at]
    assert cell.value == pytest.approx((values[4] + values[5]) / 2)
    assert (cell.n, cell.of, cell.failed) == (10, 10, 0)


def test_columns_and_rows_stand_in_the_papers_order(main):
    groups = list(dict.fromkeys(group for group, _ in main.header))
    assert groups == [dataset_title("koniq10k"), dataset_title("livec")]
    assert [row.lead[0].split(" (")[0] for row in main.rows if row.block == MEASURED] == [
        "Linear probe",
        "LoRA",
        "GLIA",
    ]


def test_the_best_and_the_second_of_each_column_are_marked(main):
    for j, (_, name) in enumerate(main.header):
        if name.startswith("Δ"):
            continue
        cells = [row.cells[j] for row in main.rows if row.block == MEASURED]
        ranked = sorted(cells, key=lambda cell: -cell.value)
        assert [cell.rank for cell in ranked] == [1, 2, 0]


def test_trainable_parameters_stand_in_parentheses(main):
    assert row_named(main, "Linear probe").lead == ("Linear probe (768)",)
    assert "M)" in row_named(main, "GLIA").lead[0]


def test_missing_splits_are_counted_and_such_numbers_are_not_ranked(records):
    partial = [r for r in records if not (r.spec.method == "glia" and r.spec.train == "livec" and r.spec.split > 6)]
    table = tables_of("main", partial)["main"]
    cell = row_named(table, "GLIA").cells[table.header.index((dataset_title("livec"), "SRCC"))]
    assert (cell.n, cell.of, cell.rank, cell.difference) == (7, 10, 0, None)
    assert any("only k of n splits" in note for note in table.notes)


def test_a_failed_run_shows_as_failed_with_its_reason(specs):
    broken = [
        record_of(spec, error=("OutOfMemory", "CUDA | out_of memory")) if spec.method == "glia" else record_of(spec)
        for spec in specs
    ]
    table = tables_of("main", broken)["main"]
    row = row_named(table, "GLIA")
    assert all(cell.value is None and cell.failed == 10 for cell in row.cells if isinstance(cell, Number))
    assert row.notes == ("Failed: OutOfMemory: CUDA | out_of memory",)


def test_a_done_run_wins_over_a_failed_one_of_the_same_split(specs):
    wanted = [spec for spec in specs if spec.method == "lora"]
    retried = [record_of(replace(spec, tests=(*spec.tests, "csiq:all"))) for spec in wanted]
    failed = [record_of(spec, error=("NaN", "diverged")) for spec in wanted]
    table = tables_of("main", retried + failed)["main"]
    assert all(cell.complete and not cell.failed for row in table.rows for cell in row.cells if row.block == MEASURED)


def test_published_rows_stand_in_blocks_of_their_own(main):
    blocks = list(dict.fromkeys(row.block for row in main.rows))
    assert blocks == [MEASURED, "GLIA, Table 1", "LoDa, Table 1"]
    glia = row_named(main, "GLIA", "GLIA, Table 1")
    assert [cell.value for cell in glia.cells if isinstance(cell, Number)] == [0.940, 0.948, 0.899, 0.913]


def test_the_difference_is_shown_only_where_the_setting_is_the_papers(main, specs):
    at = main.header.index((dataset_title("livec"), "SRCC"))
    assert main.header[at + 1] == (dataset_title("livec"), "Δ")
    cell = row_named(main, "GLIA").cells[at]
    assert cell.difference == pytest.approx(cell.value - 0.899)
    assert row_named(main, "LoRA").cells[at].difference is None  # no published LoRA on LIVEC
    for change in (
        {"weights": "random"},
        {"backbone": "vit_small_patch16_224"},
        {"split_rule": "official"},
        {"limit": 50},
    ):
        other = tables_of("main", records_of(replace(spec, **change) for spec in specs if spec.split < 10))
        name = "main_official" if change == {"split_rule": "official"} else "main"
        assert not any(name.startswith("Δ") for _, name in other[name].header), change


def test_no_difference_is_shown_for_a_part_of_a_set(specs):
    data = record_of(specs[0]).body["data"]
    part = {**data, "train": {**data["train"], "n": 100}}
    table = tables_of("main", [record_of(spec, data=part) for spec in specs if spec.train == "livec"])["main"]
    assert not any(name.startswith("Δ") for _, name in table.header)


def test_no_difference_is_shown_for_models_of_a_whole_source():
    plan = specs_of("cross", "paper", "glia")
    cross = tables_of("cross", records_of(plan))["cross"]
    whole = tables_of("cross", records_of(replace(spec, source="all") for spec in plan))["cross_whole_source"]
    assert any("Δ" in name for _, name in cross.header)
    assert not any("Δ" in name for _, name in whole.header)


def test_a_published_number_is_best_in_its_papers_own_table_though_some_rows_are_not_repeated(main):
    at = main.header.index((dataset_title("koniq10k"), "SRCC"))
    theirs = [row for row in main.rows if row.block == "LoDa, Table 1"]
    assert theirs
    assert "LoDa" not in {row.label.split(" ")[0] for row in theirs}  # GLIA's block has it already
    assert not any(isinstance(row.cells[at], Number) and row.cells[at].rank == 1 for row in theirs)


def test_a_row_on_other_weights_says_so(specs, records):
    other = [
        record_of(spec, weights={"backbone": spec.backbone, "hash": "fedcba9876543210", "source": "made up"})
        for spec in specs
        if spec.method == "lora"
    ]
    table = tables_of("main", [record for record in records if record.spec.method != "lora"] + other)["main"]
    assert any("fedcba987654" in note for note in row_named(table, "LoRA").notes)
    assert not any("Backbone weights" in note for note in row_named(table, "GLIA").notes)


def test_a_row_with_another_cnn_says_so():
    def with_cnn(spec, known):
        further = {"resnet50.a1_in1k": {"hash": known, "source": "hub"}}
        return record_of(spec, weights={"backbone": spec.backbone, "hash": "0123456789abcdef", "further": further})

    loda = specs_of("main", "paper", "loda", ["livec"])
    larger = [replace(spec, options={**spec.options, "latent": 128}) for spec in loda]
    usual = [with_cnn(spec, "ab" * 8) for spec in loda]
    table = tables_of("main", [*usual, *(with_cnn(spec, "ab" * 8) for spec in larger)])["main"]
    assert not any("CNN weights" in note for row in table.rows for note in row.notes)
    table = tables_of("main", [*usual, *(with_cnn(spec, "cd" * 8) for spec in larger[1:])])["main"]
    (note,) = [note for row in table.rows for note in row.notes if "CNN weights" in note]
    assert note == "CNN weights cdcdcdcdcdcd: not those of the table's other runs, so not comparable."


def test_of_two_records_of_a_split_the_one_by_todays_code_is_shown(specs, records):
    """An older one with more tests lies beside it: only where it alone was tested is its number still shown."""
    first = next(spec for spec in specs if spec.method == "glia" and spec.train == "livec" and not spec.split)
    other = record_of(first.with_tests((*first.tests, "csiq:all")), code={"method": "another", "numerics": NUMERICS})
    other.body["metrics"][first.tests[0]]["srcc"] = 0.999
    table = tables_of("main", [other, *records])["main"]
    assert not any("older glia.py" in note for note in row_named(table, "GLIA").notes)
    without = [record for record in records if record.key != first.key]
    marked = tables_of("main", [other, *without])["main"]
    notes = row_named(marked, "GLIA").notes
    assert any(note.startswith("1 of ") and note.endswith(" was made by an older glia.py.") for note in notes)


def test_fewer_splits_than_were_asked_for_are_counted_as_they_are(records):
    table = tables_of("main", [record for record in records if record.spec.split < 4])["main"]
    assert table.notes[0].startswith("Medians over 4 of 10 splits.")
    assert any(line.startswith("Splits: 4 of 10;") for line in table.footer)


def test_the_users_own_set_under_the_demo_preset_is_not_said_to_have_demo_labels():
    own = tables_of("main", results_of("main", "demo", "glia,lora", ["mine"]))["main_demo"]
    assert not any("KADID-10k" in note for note in own.notes)
    assert any("training is short" in note for note in own.notes)


def test_intervals_are_left_out_where_every_test_image_shows_one_content(specs):
    one = [record_of(spec) for spec in specs if spec.train == "livec" and spec.split < 2]
    for record in one:
        arrays = {name: np.full_like(a, "0") if name.endswith("group") else a for name, a in record._arrays.items()}
        record.__dict__["_arrays"] = arrays
    table = tables_of("main", Results(one, intervals=True))["main"]
    assert all(cell.low is None for row in table.rows for cell in row.cells if isinstance(cell, Number))


def test_demo_tables_say_so_and_never_show_published_numbers():
    table = tables_of("main", results_of("main", "demo", "glia,linear_probe"))["main_demo"]
    assert table.demo
    assert table.title.startswith("Demo.")
    assert {row.block for row in table.rows} == {MEASURED}
    assert any("not opinions" in note for note in table.notes)


def test_presets_never_share_a_table(records):
    both = [*records, *records_of(specs_of("main", "demo", "glia"))]
    assert {"main", "main_demo"} <= set(tables_of("main", both))


def test_another_backbone_gets_its_own_row_with_a_footnote(specs, records):
    other = records_of(replace(spec, backbone="vit_small_patch16_224") for spec in specs if spec.method == "glia")
    table = tables_of("main", [*records, *other])["main"]
    row = row_named(table, "GLIA (8.04M), backbone=vit_small_patch16_224")
    assert row.notes == ("Backbone vit_small_patch16_224; the preset's is vit_base_patch16_224.augreg2_in21k_ft_in1k.",)


def test_a_baseline_that_never_trained_says_so(specs):
    probes = [spec for spec in specs if spec.method == "linear_probe" and spec.train == "livec"]
    losses = [[0.5, 0.41]] * 3 + [[0.5, 0.39]] * 7
    table = tables_of("main", [record_of(s, loss=loss) for s, loss in zip(probes, losses, strict=True)])["main"]
    (note,) = row_named(table, "Linear probe").notes
    assert note.startswith("Hardly trained in 3 of 10 runs: the training loss ends above 0.4 (0.5 is chance).")
    squared = [replace(s, recipe=replace(s.recipe, loss="plcc_squared")) for s in probes]
    other = tables_of("main", [record_of(s, loss=[0.5, 0.41]) for s in squared])["main"]
    assert row_named(other, "Linear probe").notes == ()


def test_a_recipe_that_the_preset_gives_one_method_alone_stands_under_the_table():
    table = tables_of("main", records_of(specs_of("main", "demo", "linear_probe,lora")))["main_demo"]
    [note] = row_named(table, "Linear probe").notes
    assert note == "The demo preset gives it a recipe of its own: epochs=12, lr=0.01."
    assert row_named(table, "LoRA").notes == ()


def test_what_all_rows_have_alike_is_no_recipe_of_one_methods_own():
    specs = specs_of("main", "demo", "linear_probe,lora")
    alike = [replace(spec, recipe=replace(spec.recipe, lr=0.01)) for spec in specs]
    table = tables_of("main", records_of(alike))["main_demo"]
    assert table.footer[0] == "Preset: demo, changed: lr=0.01"
    [note] = row_named(table, "Linear probe").notes
    assert note == "The demo preset gives it a recipe of its own: epochs=12."


def test_changed_tuned_and_random_rows_are_marked(specs, records):
    glia = [spec for spec in specs if spec.method == "glia"]
    tuned = [replace(spec, recipe_from="tuned") for spec in glia]
    random = [replace(spec, weights="random") for spec in glia]
    table = tables_of("main", [*records, *records_of(tuned + random)])["main"]
    notes = {
        row.lead[0].partition(", ")[2]: row.notes for row in table.rows if row.lead[0].startswith("GLIA (8.04M), ")
    }
    assert "Tuned" in notes["recipe_from=tuned"][0]
    assert "Random weights" in notes["weights=random"][0]


def test_what_all_rows_changed_is_said_once_in_the_footer(specs):
    short = [replace(spec, recipe=replace(spec.recipe, epochs=1)) for spec in specs]
    table = tables_of("main", records_of(short))["main"]
    assert table.footer[0] == "Preset: paper, changed: epochs=1"
    assert "epochs" not in "".join(row.label for row in table.rows)


def test_rows_on_different_splits_are_warned_about(specs, records):
    stranger = next(spec for spec in specs if spec.method == "glia" and spec.split == 3)
    odd = record_of(stranger)
    odd.body["data"]["train"]["split_hash"] = "another"
    table = tables_of("main", [odd if record.key == odd.key else record for record in records])["main"]
    assert any("not on identical data" in note and "the split" in note for note in table.notes)


def test_the_footer_names_every_condition(main):
    text = "\n".join(main.footer)
    for word in (
        "Preset: paper",
        "weights 0123456789ab",
        "Splits: 10",
        "last epoch",
        "15 in test",
        "fp32",
        "c0ffeec0ff",
    ):
        assert word in text


def test_reading_order_never_matters(records):
    assert tables_of("main", records) == tables_of("main", list(reversed(records)))


def test_ablations_do_not_clutter_the_comparison(records):
    more = records_of(specs_of("components,guidance,modules", "paper", splits=1))
    table = tables_of("main", [*records, *more])["main"]
    assert not any("=" in row.label for row in table.rows)


def test_a_method_without_a_card_is_shown_under_its_own_name(specs, records):
    own = records_of(replace(s, method="my_own", options={"width": 3}) for s in specs if s.method == "lora")
    table = tables_of("main", [*records, *own])["main"]
    assert row_named(table, "my_own (103K)").lead == ("my_own (103K)",)


def test_a_seed_is_a_row_of_its_own(specs, records):
    other = records_of(replace(s, recipe=replace(s.recipe, seed=1)) for s in specs if s.method == "lora")
    table = tables_of("main", [*records, *other])["main"]
    assert row_named(table, "LoRA (296K), seed=1").cells[0].n == 10


def test_intervals_by_content_read_the_stored_predictions(records):
    few = [r for r in records if r.spec.train == "livec" and r.spec.split < 2]
    table = tables_of("main", Results(few, intervals=True))["main"]
    assert [name for _, name in table.header] == ["SRCC", "PLCC"]
    for cell in table.rows[0].cells:
        assert cell.interval == "95% of the mean over contents"
        assert cell.low < cell.mean < cell.high


def test_too_few_contents_give_no_interval_and_the_table_says_so(records):
    def alone(record):
        arrays = record.arrays()
        return replace(
            record,
            arrays=lambda: {k: np.array(["x"] * len(v)) if k.endswith("/group") else v for k, v in arrays.items()},
        )

    few = [alone(r) for r in records if r.spec.train == "livec"]
    table = tables_of("main", Results(few, intervals=True))["main"]
    numbers = [cell for cell in table.rows[0].cells if isinstance(cell, Number)]
    assert numbers
    assert all((number.low, number.high) == (None, None) for number in numbers)
    assert "No interval over contents for some numbers: 1 content where it takes 8." in table.notes


def test_indistinguishable_rows_are_marked_and_the_best_is_not(main):
    cells = [(row.cells[j]) for row in main.rows if row.block == MEASURED for j in range(len(main.header))]
    assert not any(cell.tied and cell.rank == 1 for cell in cells if isinstance(cell, Number))
