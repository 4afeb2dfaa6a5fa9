"""The documents tell the truth: their examples run, their links lead somewhere, their promises have tests."""

import re
from pathlib import Path

import pytest

from bench.core.registry import METHODS
from bench.models.conformance import check_method

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_method_of_the_tutorial_passes_the_conformance_check(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "adding-a-method.md").read_text()
    path = tmp_path / "norm_tuning.py"
    path.write_text(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1])
    monkeypatch.setattr(METHODS, "_targets", dict(METHODS._table()))
    METHODS.add_plugin(path)
    assert all(check.passed for check in check_method("norm_tuning"))


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
