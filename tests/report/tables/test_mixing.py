"""Numbers that were not made alike: said in a line, the most important difference first, and refused on request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import MixedError
from bench.core.spec import RunSpec
from bench.records.results import Record, Results
from bench.records.store import Store
from bench.report.compare import compare
from bench.report.mixing import made_on
from bench.report.tables.write import make_tables
from bench.report.verify import mixed as mixed_records
from tests.report.records import MADE_ON, body_of, predictions, record_of
from tests.report.results import specs_of

SPECS = specs_of("main", "demo", "glia,linear_probe,lora", ["demo_a"], 3)
GLIA, PROBE, LORA = ([s for s in SPECS if s.method == name] for name in ("glia", "linear_probe", "lora"))
CUDA = {"device_type": "cuda", "device": "NVIDIA H200"}


def made(spec: RunSpec, *, tested: dict[str, Any] | None = None, begun: Any = None, **trained: Any) -> Record:
    """A made-up record of a run that was made on something else."""
    about = {"trained": {**MADE_ON, **trained}}
    about |= {"tested": {**MADE_ON, **tested}} if tested else {}
    about |= {"begun": [{**MADE_ON, **begun}]} if begun else {}
    return record_of(spec, numerics=about)


def mixed(*changed: Record) -> tuple[str, ...]:
    """What the table of all runs says, with some of their records replaced."""
    keys = {record.key for record in changed}
    results = Results([*changed, *(record_of(spec) for spec in SPECS if spec.key not in keys)])
    (table,) = (written.table for written in make_tables(results, ["main"]))
    assert tuple(line for line in table.footer if line.startswith("Mixed: ")) == tuple(
        f"Mixed: {line}." for line in table.mixed
    )
    return table.mixed


def test_runs_made_alike_are_not_worth_a_line() -> None:
    assert mixed() == ()


def test_hosts_threads_and_packs_are_no_difference() -> None:
    assert mixed(made(GLIA[0], threads=64, device="another CPU"), made(PROBE[0], packed=4)) == ()


def test_one_split_made_elsewhere_is_named() -> None:
    assert mixed(made(GLIA[2], **CUDA)) == ("split 2 of GLIA was trained on cuda, the others on cpu",)


def test_several_splits_and_whole_rows_are_named() -> None:
    assert mixed(made(GLIA[1], **CUDA), made(GLIA[2], **CUDA)) == (
        "splits 1 and 2 of GLIA were trained on cuda, the others on cpu",
    )
    assert mixed(*(made(spec, **CUDA) for spec in GLIA)) == ("GLIA was trained on cuda, the others on cpu",)
    assert mixed(*(made(spec, **CUDA) for spec in GLIA), made(LORA[1], device_type="mps")) == (
        "GLIA was trained on cuda, split 1 of LoRA was trained on mps, the others on cpu",
    )


def test_a_seed_whose_folds_were_made_elsewhere_is_named_where_several_seeds_stand_in_a_row() -> None:
    second = [replace(spec, recipe=replace(spec.recipe, seed=1)) for spec in GLIA]
    assert mixed(*(made(spec, **CUDA) for spec in second)) == ("seed 1 of GLIA was trained on cuda, the others on cpu",)
    alike = [record_of(spec) for spec in second[:2]]
    assert mixed(*alike, made(second[2], **CUDA)) == (
        "split 2 of seed 1 of GLIA was trained on cuda, the others on cpu",
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"precision": "bf16"}, "GLIA was trained in bf16, the others in fp32"),
        ({"instructions": "x86_64 AVX512"}, "GLIA was trained with x86_64 AVX512, the others with x86_64 AVX2"),
        ({"tf32": True}, "GLIA was trained with TF32, the others without TF32"),
        ({"torch": "2.14.0"}, "torch 2.11.0 and 2.14.0"),
        ({"timm": "1.0.9"}, "timm 1.0.20 and 1.0.9"),
        ({"numpy": "1.26"}, "numpy 1.26 and 2.3.0"),
        ({"pillow": "11.0"}, "pillow 11.0 and 12.0.0"),
        ({"compiled": True}, "GLIA was trained with compiled steps, the others with plain steps"),
        ({"parts": 4}, "GLIA was trained in 4 parts per batch, the others by whole batches"),
    ],
)
def test_whatever_can_move_a_number_is_said(change: dict[str, Any], says: str) -> None:
    assert mixed(*(made(spec, **change) for spec in GLIA)) == (says,)


def test_the_most_important_two_differences_are_said() -> None:
    other = {"numpy": "1.26", "torch": "2.14.0", **CUDA}
    assert mixed(*(made(spec, **other) for spec in GLIA)) == (
        "GLIA was trained on cuda, the others on cpu",
        "torch 2.11.0 and 2.14.0",
    )


def test_gpus_are_told_by_their_names_and_not_by_the_cpu_beside_them() -> None:
    a, b = {**CUDA, "instructions": "x86_64 AVX512"}, {**CUDA, "device": "NVIDIA H100"}
    runs = [made(spec, **(b if spec in LORA else a)) for spec in SPECS]
    assert mixed(*runs) == ("LoRA was trained on NVIDIA H100, the others on NVIDIA H200",)
    assert mixed(*(made(spec, **(a if spec in LORA else CUDA)) for spec in SPECS)) == ()


def test_a_run_tested_elsewhere_than_the_others_is_said() -> None:
    assert mixed(made(GLIA[0], tested=CUDA)) == ("split 0 of GLIA was tested on cuda, the others on cpu",)


def test_a_training_that_was_begun_elsewhere_is_said() -> None:
    assert mixed(made(GLIA[0], begun=CUDA)) == ("split 0 of GLIA was trained on cuda and on cpu, the others on cpu",)


def test_columns_that_are_not_compared_may_be_made_on_other_machines() -> None:
    other = specs_of("main", "demo", "glia,linear_probe", ["demo_b"], 2)
    results = Results([*map(record_of, SPECS), *(made(spec, **CUDA) for spec in other)])
    (table,) = (written.table for written in make_tables(results, ["main"]))
    assert table.mixed == ()
    assert any("on cpu (x86_64 AVX2) and cuda (NVIDIA H200)" in line for line in table.footer)


def test_a_footer_names_versions_and_machines_in_one_line() -> None:
    assert made_on(map(record_of, SPECS)) == "torch 2.11.0, timm 1.0.20, numpy 2.3.0; on cpu (x86_64 AVX2)"


def test_strict_tables_are_refused_before_anything_is_written(tmp_path) -> None:  # type: ignore[no-untyped-def]
    results = Results([made(GLIA[0], **CUDA), *map(record_of, SPECS[1:])])
    with pytest.raises(MixedError, match="split 0 of GLIA was trained on cuda, the others on cpu"):
        make_tables(results, ["main"], out=tmp_path / "tables", strict=True)
    assert not (tmp_path / "tables").exists()
    assert MixedError.exit_code == 1
    assert make_tables(Results(map(record_of, SPECS)), ["main"], strict=True)


def test_a_comparison_looks_at_the_splits_that_both_have() -> None:
    without = [spec for spec in [*GLIA, *PROBE] if spec != PROBE[2]]
    alone = Results([made(GLIA[2], **CUDA), *(record_of(spec) for spec in without if spec != GLIA[2])])
    assert compare(alone, "glia", "linear_probe")[0].mixed == ()
    both = Results([made(GLIA[1], **CUDA), *(record_of(spec) for spec in without if spec != GLIA[1])])
    assert compare(both, "glia", "linear_probe")[0].mixed == ("split 1 of GLIA was trained on cuda, the others on cpu",)


@pytest.fixture
def unlike(tmp_path: Path) -> Store:
    """A results folder with one split of GLIA made elsewhere."""
    store = Store(tmp_path)
    for spec in [*GLIA, *PROBE]:
        about = {"trained": {**MADE_ON, **(CUDA if spec.method == "glia" and spec.split == 2 else {})}}
        store.write(body_of(spec, numerics=about), predictions(spec))
    return store


def test_verify_remarks_on_numbers_that_were_not_made_alike(unlike: Store) -> None:
    assert mixed_records(Results.read(unlike)) == ["split 2 of GLIA was trained on cuda, the others on cpu"]


@pytest.mark.parametrize("words", [("table", "main"), ("compare", "glia", "linear_probe"), ("verify",)])
def test_commands_say_what_is_mixed_and_refuse_it_with_strict(words: tuple[str, ...], unlike: Store) -> None:
    said = CliRunner().invoke(app, [*words, "--results", str(unlike.root)])
    assert said.exit_code == 0, said.output
    line = "split 2 of GLIA was trained on cuda, the others on cpu."
    assert f"Mixed: {line}" in " ".join(said.output.split())
    refused = CliRunner().invoke(app, [*words, "--strict", "--results", str(unlike.root)])
    assert refused.exit_code == 1
    assert line in " ".join(refused.output.split())


def test_arms_with_settings_of_their_own_are_told_apart_by_them() -> None:
    slow = [replace(spec, recipe=replace(spec.recipe, lr=1e-5)) for spec in GLIA]
    results = Results([*map(record_of, [*GLIA, *PROBE]), *(made(spec, **CUDA) for spec in slow)])
    (table,) = (written.table for written in make_tables(results, ["main"]))
    assert table.mixed == ("GLIA, lr=1e-05 was trained on cuda, the others on cpu",)
