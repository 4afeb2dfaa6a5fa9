"""Records on disk: whole or absent, hashed, and nothing doubtful is used or deleted."""

import hashlib
import json
import multiprocessing
import os
import stat
from dataclasses import replace

import numpy as np
import pytest

from bench.core.code import code_of
from bench.core.errors import StoreError
from bench.core.files import atomic, explain
from bench.core.spec import SCHEMA, RunSpec
from bench.records.store import Store, record_hash, record_text

SPEC = RunSpec("glia", "demo_a", ("demo_a:test",))


def record(spec=SPEC, status="done", **more):
    known = {"schema": SCHEMA, "key": spec.key, "spec": spec.as_dict(), "code": code_of(spec.method)}
    return known | {"status": status, "error": None, "metrics": {}, **more}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def test_a_written_record_is_read_back_with_its_predictions(store):
    store.write(record(), {"demo_a:test/predicted": np.arange(3.0)})
    (found,) = store.records()
    assert found["key"] == SPEC.key
    assert store.predictions(SPEC.key)["demo_a:test/predicted"].tolist() == [0, 1, 2]
    assert store.problems == []


def test_the_same_record_gives_the_same_bytes(store, tmp_path):
    other = Store(tmp_path / "other")
    for place in (store, other):
        place.write(record(), {"b": np.ones(2), "a": np.array(["x", "y"])})
    for name in (f"{SPEC.key}.json", f"{SPEC.key}.npz"):
        assert (store.runs / name).read_bytes() == (other.runs / name).read_bytes()


def test_a_records_hash_can_be_recomputed_without_the_harness(store):
    path = store.write(record())
    lines = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith(' "sha256": ')]
    assert json.loads(path.read_text())["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_what_is_done_is_not_pending(store):
    other = replace(SPEC, split=1)
    store.write(record())
    assert store.pending([SPEC, other]) == [other]
    assert store.pending([SPEC, other], "always") == [SPEC, other]


def test_a_record_with_more_tests_answers_for_fewer(store):
    more = SPEC.with_tests(("demo_a:test", "demo_b:all"))
    store.write(record(more))
    assert store.pending([SPEC]) == []
    assert store.pending([SPEC.with_tests(("demo_wild:all",))]) != []


def test_failed_runs_are_made_again_only_when_asked(store):
    store.write(record(status="failed"))
    assert store.pending([SPEC]) == []
    assert store.pending([SPEC], "failed") == [SPEC]


def test_a_run_has_failed_where_records_answer_for_it_and_none_is_done(store):
    more, other = SPEC.with_tests(("demo_a:test", "demo_b:all")), replace(SPEC, split=1)
    assert store.failed([SPEC, more]) == []
    store.write(record(more, status="failed"))
    assert store.failed([SPEC, more, other]) == [SPEC, more]
    store.write(record(SPEC))
    assert store.failed([SPEC, more]) == [more]


def test_what_other_code_has_done_says_nothing_of_a_run_that_todays_has_failed_in(store):
    more = SPEC.with_tests(("demo_a:test", "demo_b:all"))
    store.write(record(more, code={"method": "0" * 20, "numerics": 1}))
    assert store.failed([SPEC]) == []
    store.write(record(SPEC, status="failed"))
    assert store.failed([SPEC]) == [SPEC]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: text[: len(text) // 2], "not readable"),
        (lambda text: "[]", "not a record"),
        (lambda text: text.replace('"done"', '"failed"'), "changed after it was written"),
        (lambda text: text.replace(f'\n "schema": {SCHEMA}', '\n "schema": 99'), "newer"),
        (lambda text: "", "not readable"),
    ],
)
def test_a_damaged_record_is_reported_and_left_where_it_is(store, damage, why):
    path = store.write(record())
    path.write_text(damage(path.read_text()))
    before = path.read_bytes()
    assert list(store.records()) == []
    assert why in store.problems[0].why
    assert path.read_bytes() == before
    assert store.pending([SPEC]) == [SPEC]


def test_a_damaged_record_is_set_aside_when_its_run_is_made_again(store):
    path = store.write(record())
    path.write_text("half a rec")
    store.write(record())
    assert len(list(store.records())) == 1
    assert [p.read_text() for p in (store.root / "set_aside").iterdir()] == ["half a rec"]


@pytest.mark.parametrize("step", ["write_bytes", "write_text"])
def test_a_record_that_could_not_be_replaced_leaves_none_beside_other_predictions(store, monkeypatch, step):
    store.write(record(), {"a": np.arange(3.0)})
    old = {path.read_bytes() for path in store.runs.iterdir()}

    def full(path, _content):
        raise explain(OSError(28, "No space left on device"), path)

    with monkeypatch.context() as patched, pytest.raises(StoreError, match="disk is full"):
        patched.setattr(f"bench.records.store.{step}", full)
        store.write(record(note="new"), {"a": np.arange(4.0)})
    assert store.pending([SPEC]) == [SPEC]
    assert {path.read_bytes() for path in (store.root / "set_aside").iterdir()} == old
    store.write(record(note="new"), {"a": np.arange(4.0)})
    assert store.pending([SPEC]) == []
    assert len(store.predictions(SPEC.key)["a"]) == 4


def test_runs_read_one_after_another_do_not_borrow_from_each_other(store):
    made = [replace(SPEC, split=split) for split in (0, 3, 1)] + [SPEC.with_tests(("demo_b:all",))]
    made += [replace(SPEC, options={"rank": rank}, split=3) for rank in (64, 64.0, True)]
    for spec in made:
        store.write(record(spec))
    read = [spec for _, spec in store.sound()]
    assert store.problems == []
    assert sorted(repr(spec) for spec in read) == sorted(repr(spec) for spec in made)
    assert {spec.key for spec in read} == {spec.key for spec in made}
    assert {spec.training_key for spec in read} == {spec.training_key for spec in made}


@pytest.mark.parametrize("split", ["true", '"3"', "3.0", "-3"])
def test_a_split_that_is_none_is_named_whatever_was_read_before(store, split):
    store.write(record())
    path = store.write(record(replace(SPEC, split=3)))
    text = path.read_text().replace('\n  "split": 3,', f'\n  "split": {split},')
    body = json.loads(text)
    path.write_text(record_text({**body, "sha256": record_hash(body)}))
    assert len(list(store.records())) == 1
    assert "split" in store.problems[0].why


def test_a_rate_of_many_digits_is_read_back_as_the_run_it_is(store):
    spec = replace(SPEC, recipe=replace(SPEC.recipe, lr=1 / 30000))
    store.write(record(spec))
    assert [found.key for _, found in store.sound()] == [spec.key]
    assert store.pending([spec]) == []


def test_foreign_files_are_reported_and_skipped(store):
    store.write(record())
    (store.runs / "notes.txt").write_text("mine")
    assert len(list(store.records())) == 1
    assert [p.path.name for p in store.problems] == ["notes.txt"]


def test_a_record_under_a_wrong_name_is_not_used(store):
    path = store.write(record())
    path.rename(path.with_name("0" * 20 + ".json"))
    assert list(store.records()) == []
    assert "name" in store.problems[0].why


def test_damaged_predictions_are_a_clear_error(store):
    store.write(record(), {"a": np.arange(100.0)})
    path = store.runs / f"{SPEC.key}.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(StoreError, match="predictions"):
        store.predictions(SPEC.key)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StoreError, match="--results"):
        Store(tmp_path / "results").ready()


def test_a_file_where_the_folder_should_be_is_a_clear_error(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(StoreError, match="a file stands"):
        Store(tmp_path / "results").ready()


@pytest.mark.parametrize(
    ("number", "says"), [(28, "full"), (30, "choose another place"), (13, "choose another place"), (122, "full")]
)
def test_system_errors_are_explained(tmp_path, number, says):
    assert says in str(explain(OSError(number, "x"), tmp_path))


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "file") as handle:
        handle.write(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def write_many(root, worker):
    for split in range(5):
        spec = replace(SPEC, split=split)
        Store(root).write(record(spec) | {"metrics": {"filler": "x" * 5000}}, {"a": np.full(500, split)})


@pytest.mark.slow
def test_a_hundred_writers_tear_and_lose_nothing(store):
    context = multiprocessing.get_context("fork")
    crowd = [context.Process(target=write_many, args=(store.root, n)) for n in range(100)]
    [process.start() for process in crowd]
    [process.join() for process in crowd]
    assert all(process.exitcode == 0 for process in crowd)
    found = list(store.records())
    assert len(found) == 5
    assert store.problems == []
    assert all(json.loads((store.runs / f"{r['key']}.json").read_text())["sha256"] == record_hash(r) for r in found)
    assert not list(store.root.rglob("*.tmp"))
