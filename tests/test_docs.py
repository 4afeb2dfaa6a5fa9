"""The documents tell the truth: their examples run, their links lead somewhere, their promises have tests."""

import re
from pathlib import Path

import pytest

from bench.core.registry import METHODS
from bench.models.conformance import check_method
from bench.models.sharing import SharedNetworks
from bench.report.published import rows
from bench.training.run import make_run
from tests.world import make_world, tiny_runtime, tiny_spec

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize(
    ("number", "name", "options"), [(0, "norm_tuning", {}), (1, "neighbours", {"cnn": "test_efficientnet"})]
)
def test_the_methods_of_the_tutorial_pass_the_conformance_check(number, name, options, tmp_path, own_methods):
    text = (ROOT / "docs" / "adding-a-method.md").read_text()
    path = tmp_path / f"{name}.py"
    path.write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[number])
    METHODS.add_plugin(path)
    assert [check for check in check_method(name, options) if not check.passed] == []


def test_the_second_method_of_the_tutorial_runs_without_a_vit(tmp_path, own_methods, monkeypatch):
    text = (ROOT / "docs" / "adding-a-method.md").read_text()
    path = tmp_path / "neighbours.py"
    path.write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[1])
    METHODS.add_plugin(path)
    monkeypatch.setattr(SharedNetworks, "shared_vit", lambda *_: pytest.fail("the run's ViT was loaded"))
    spec = tiny_spec("neighbours", options={"cnn": "test_efficientnet", "k": 2})
    record, arrays = make_run(spec, tiny_runtime(tmp_path, make_world(tmp_path)))
    kept = record["data"]["train"]["n_train"]
    assert record["parameters"]["trainable"] % kept == 0
    assert len(set(arrays["near:test/predicted"])) > 1


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_between_pages_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_test_named_in_a_page_exists(page):
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?", page.read_text()):
        assert (ROOT / path).exists(), path
        if name:
            assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_cell_of_a_table_can_be_taken_in_at_a_glance(page):
    cells = [cell for line in page.read_text().splitlines() if line.startswith("|") for cell in line.split("|")]
    assert max((len(cell.split()) for cell in cells), default=0) <= 60


def test_every_system_of_the_papers_comparisons_has_its_row_and_its_word_agrees_with_the_tables():
    lines = (ROOT / "docs" / "comparators.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines if line.startswith("| ")]
    here = {name.lower(): word for names, _, word in cells for name in names.split(", ")}
    sources = [("GLIA", n) for n in "123"] + [("LoDa", n) for n in "125"]
    for row in (row for source in sources for row in rows(source)):
        runs = f"runs: `{row.registered}`" if row.registered else ("quoted", "out of reach")
        assert here[row.method.lower()] == runs or here[row.method.lower()] in runs, row.method
        assert not row.registered or row.registered in METHODS


def test_make_study_calls_what_the_page_lists_in_its_order():
    target = re.search(r"^study: install\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = [line.strip().removeprefix("$(BIN)/") for line in target[1].splitlines()]
    listed = re.search(r"`make study`.*?```\n(.*?)```", (ROOT / "docs" / "study.md").read_text(), re.DOTALL)
    assert [line.partition("#")[0].strip() for line in listed[1].splitlines()] == called
