"""What the commands say of runs that other code has made."""

import json

import pytest

from bench.cli.status import read_status
from bench.core.code import NUMERICS, made_by_other_code
from bench.planning.presets import DEMO
from bench.planning.tuning import Search, candidates, trials
from bench.records.plans import note_plan
from bench.records.store import Store
from tests.cli.calls import TINY_FLAGS, bench
from tests.cli.conftest import home  # noqa: F401
from tests.core.plugins import TINY_OPTIONS, edit, write_copy
from tests.survive.makers import record_of, specs

pytestmark = pytest.mark.usefixtures("own_methods")
OPTIONS = [word for key, value in TINY_OPTIONS.items() for word in ("--set", f"mine.{key}={value}")]


@pytest.fixture
def mine(home):  # noqa: F811
    """A plugin with two runs made, and a line of it edited since."""
    path = write_copy(home / "mine.py", "mine")
    assert "2 done, 0 failed" in run().output
    edit(path, "tokens + self.scale * raised", "tokens + 2 * self.scale * raised")
    return path


def run(*words, plugin="mine.py", method="mine"):
    flags = ["-m", method, "-p", "main", "-d", "near", "--splits", 2, *TINY_FLAGS, *OPTIONS, "--plugin", plugin]
    return bench("run", *flags, *words)


AGAIN = "2 runs were made by an older mine.py: they are repeated, the old records are put aside.\n"


def test_a_line_says_which_runs_are_made_again_and_they_are(mine, home):  # noqa: F811
    dry = run("--dry-run").output
    assert AGAIN in dry
    assert "2 runs planned, 0 done, 2 to run." in dry
    made = run().output
    assert AGAIN in made
    assert "2 runs planned, 0 done before, 2 to run." in made
    assert "2 done, 0 failed" in made
    assert len(list((home / "results" / "set_aside").glob("*.json"))) == 2
    again = run().output
    assert "older" not in again
    assert "2 done before, 0 to run." in again


def test_never_says_that_they_stay(mine):
    said = run("--overwrite", "never").output
    assert "2 runs were made by an older mine.py: they stay (--overwrite never).\n" in said
    assert "2 done before, 0 to run." in said


def test_one_run_is_not_called_runs(mine):
    assert (
        "1 run was made by an older mine.py: it is repeated, the old record is put aside.\n"
        in run("--splits", 1, "--dry-run").output
    )


def test_status_counts_them_in_a_state_of_their_own_where_the_plugin_is_named(mine):
    said = bench("status", "--plugin", "mine.py").output
    assert "0 done, 0 failed, 0 running, 0 pending, 2 older code." in said
    assert "2 runs were made by an older mine.py: `bench run` makes such runs again" in said
    run("--splits", 1)
    assert "1 done, 0 failed, 0 running, 0 pending, 1 older code." in bench("status", "--plugin", "mine.py").output


def test_of_a_plugin_that_is_not_named_nothing_is_said(mine, monkeypatch):
    from bench.core.registry import METHODS

    METHODS._table().pop("mine")
    assert "2 done, 0 failed, 0 running, 0 pending." in bench("status").output
    assert "older" not in bench("table", "main").output


def test_verify_says_so_and_finds_no_fault_with_it(mine):
    said = bench("verify")
    assert said.exit_code == 0
    assert "2 runs were made by an older mine.py" in said.output


def test_a_table_marks_the_row(mine, home):  # noqa: F811
    run("--splits", 1)
    bench("table", "main", "--plugin", "mine.py")
    (row,) = json.loads((home / "results" / "tables" / "main_demo.json").read_text())["rows"]
    assert "1 of 2 runs was made by an older mine.py." in row["notes"]


def test_a_changed_default_is_another_row_than_the_old_one(mine, home):  # noqa: F811
    edit(mine, "lambda_init: float = 0.02", "lambda_init: float = 0.5")
    assert "2 done" in run().output
    bench("table", "main", "--plugin", "mine.py")
    rows = json.loads((home / "results" / "tables" / "main_demo.json").read_text())["rows"]
    assert sorted("lambda_init=0.02" in row["lead"][0] for row in rows) == [False, True]


def test_an_option_that_came_later_sets_the_old_runs_apart(mine, home):  # noqa: F811
    edit(mine, "    lgf: bool = True\n", "    lgf: bool = True\n    extra: int = 3\n")
    assert "2 done" in run().output
    bench("table", "main", "--plugin", "mine.py")
    rows = json.loads((home / "results" / "tables" / "main_demo.json").read_text())["rows"]
    assert sorted("extra=unset" in row["lead"][0] for row in rows) == [False, True]


def test_a_newer_run_with_more_tests_answers_in_status_for_an_older_one(tmp_path):
    store, (spec, other) = Store(tmp_path), specs(2)
    older = {"method": "another", "numerics": NUMERICS}
    for one in (spec, other):
        store.write(record_of(one, code=older))
    store.write(record_of(spec.with_tests(("demo_a:test", "demo_b:all"))))
    note_plan(store, specs(2))
    status = read_status(store)
    assert [status.total(state) for state in ("done", "older code", "pending")] == [1, 1, 0]
    assert status.made_by == ("an older glia.py",)


def test_a_candidate_of_a_search_that_older_code_tried_counts_as_not_tried(tmp_path):
    store = Store(tmp_path)
    tried = candidates(Search("glia", "demo_a", DEMO, splits=1, rates=(1e-3, 3e-3)))
    for candidate, code in zip(tried, ({"method": "another", "numerics": NUMERICS}, None), strict=True):
        body = record_of(candidate.spec, metrics={"demo_a:validation": {"srcc": 0.5}})
        store.write(body if code is None else body | {"code": code})
    assert [made_by_other_code(record) != "" for record in store.records()].count(True) == 1
    assert [(trial.srcc, trial.why) for trial in trials(tried, store)[0]] == [(None, "not run"), (0.5, "")]
    assert store.pending([candidate.spec for candidate in tried]) == [tried[0].spec]


def test_help_says_each_word_in_a_line():
    said = bench("run", "--help").output
    for word, means in {
        "never": "none that has a record",
        "changed": "those by other code (default)",
        "failed": "those, and the failed ones",
        "always": "all: everything trains again",
    }.items():
        assert f" {word:<8} {means}\n" in said


def test_an_array_cannot_train_everything_again(mine, home):  # noqa: F811
    refused = run("--overwrite", "always", "--emit-slurm", "job.sh")
    assert refused.exit_code == 2
    assert "--overwrite always is not for an array" in refused.stderr
    assert not (home / "job.sh").exists()
    assert "2 runs for 2 members" in run("--emit-slurm", "job.sh").output
    assert "Nothing is left to run" in run("--emit-slurm", "other.sh", "--overwrite", "never").output
    assert not (home / "other.sh").exists()
