"""The same records give the same bytes: golden files (UPDATE_GOLDEN=1 writes them anew; then read the diff)."""

import os
from pathlib import Path

import pytest

from bench.records.results import Results
from bench.report.tables.write import FORMATS, make_tables
from tests.report.records import records_of
from tests.report.results import specs_of

GOLDEN = Path(__file__).parent.parent.parent / "golden"

CASES = {
    "main": ("main", "paper", "linear_probe,glia", ["livec", "csiq"], 10),
    "cross_demo": ("cross", "demo", "glia,linear_probe", [], 3),
    "sensitivity_order_demo": ("sensitivity", "demo", "lora,glia,ridge", ["demo_a"], 3),
    "sensitivity_demo": ("sensitivity", "demo", "lora,glia", ["demo_wild"], 3),
    "components": ("components", "paper", "", ["koniq10k"], 10),
}


@pytest.mark.parametrize("name", CASES)
def test_tables_are_the_golden_ones_to_the_byte(name, tmp_path):
    protocol, *plan = CASES[name]
    results = Results(reversed(records_of(specs_of(protocol, *plan))))
    written = next(each for each in make_tables(results, [protocol], out=tmp_path) if each.table.name == name)
    assert [path.suffix[1:] for path in written.paths] == list(FORMATS)
    for path in written.paths:
        golden = GOLDEN / path.name
        if os.environ.get("UPDATE_GOLDEN"):
            golden.write_bytes(path.read_bytes())
        assert path.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8"), path.name


def test_no_table_holds_a_date(tmp_path):
    make_tables(Results(records_of(specs_of("main", "demo", "glia"))), ["main"], out=tmp_path)
    assert all("2025-01-01" not in path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
