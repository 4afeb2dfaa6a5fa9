"""A dataset of a plugin that does something wrong is named with its file and line, wherever it is read."""

import pytest

from bench.core.errors import DataError
from bench.core.registry import DATASETS
from bench.data.locate import load_dataset, source_of
from bench.data.obtain.check import check

PLUGIN = '''
from bench.data.dataset import DatasetSource

class Hurried(DatasetSource):
    """A set that is read in a hurry."""

    folders = ("hurried",)

    def {function}(self):
        {body}
'''


@pytest.fixture
def hurried(tmp_path, monkeypatch):
    """Register a set whose class has this function, and say where it lies."""
    monkeypatch.setattr(DATASETS, "_targets", dict(DATASETS._table()))
    monkeypatch.setattr(DATASETS, "_origin", dict(DATASETS._origin))
    (tmp_path / "pictures").mkdir()

    def registered(body, function="load"):
        path = tmp_path / "hurried.py"
        path.write_text(PLUGIN.format(function=function, body=body))
        DATASETS.add_plugin(path)
        return {"hurried": {"path": str(tmp_path / "pictures")}}

    return registered


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return {}['scores']", r", line 10: KeyError: 'scores'\."),
        ("return sorted([1, '2'])", r", line 10: TypeError: '<' not supported"),
        ("pass", r": TypeError: it must return a Dataset, not None\."),
    ],
)
def test_a_loader_that_fails_is_told_as_the_plugins(hurried, tmp_path, body, why):
    with pytest.raises(DataError, match=rf"^hurried: Hurried of .*hurried\.py fails in load\(\){why}"):
        load_dataset("hurried", hurried(body), tmp_path / "cache")


def test_a_check_reports_it_like_any_fault_of_a_set(hurried, tmp_path):
    report = check("hurried", hurried("return 1 / 0"), tmp_path / "cache")
    assert report.errors == [
        f"hurried: Hurried of {tmp_path}/hurried.py fails in load(), line 10: ZeroDivisionError: division by zero."
    ]


def test_so_it_does_where_labels_are_read_by_themselves(hurried, tmp_path):
    report = check("hurried", hurried("return 1 / 0", "labels"), tmp_path / "cache")
    assert "fails in labels(), line 10: ZeroDivisionError" in report.errors[0]


def test_what_a_loader_says_itself_is_said_as_it_is(hurried, tmp_path):
    body = "from bench.core.errors import DataError; raise DataError('hurried: row 3 has no score.')"
    with pytest.raises(DataError, match=r"^hurried: row 3 has no score\.$"):
        load_dataset("hurried", hurried(body), tmp_path / "cache")


def test_a_mistake_in_a_loader_of_ours_is_not_called_a_plugins(monkeypatch, tmp_path):
    monkeypatch.setattr(DATASETS.load("koniq10k"), "load", lambda self: {}["ours"])
    with pytest.raises(KeyError, match="ours"):
        source_of("koniq10k", {"root": str(tmp_path)}, tmp_path).loaded()
