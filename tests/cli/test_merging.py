"""`bench merge`: what is taken of another results folder, what is refused by name, and that nothing here is lost."""

import hashlib
import json
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.merging import merge
from bench.core.errors import StoreError, UsageError
from bench.core.spec import SCHEMA
from bench.records.store import Store
from bench.training.states import read_trained, state_hash
from tests.report.records import body_of, predictions
from tests.survive.makers import specs


def folder(path, wanted, **changes):
    store = Store(path)
    for spec in wanted:
        body = body_of(spec, **changes)
        body["run"] |= changes.get("run", {"host": "node7", "finished": "2026-01-02T03:04:05+00:00"})
        store.write(body, predictions(spec))
    return store


@pytest.fixture
def ours(tmp_path):
    return folder(tmp_path / "ours", specs(2))


def files(store):
    return {path.name: path.read_bytes() for path in store.runs.iterdir()}


def test_records_are_copied_with_their_predictions_byte_for_byte(tmp_path, ours):
    theirs = folder(tmp_path / "theirs", specs(4)[2:])
    before = files(ours)
    merged = merge(ours, theirs)
    assert (merged.taken, merged.same, merged.refused) == (2, 0, [])
    assert files(ours) == before | files(theirs)
    assert len(list(ours.records())) == 4
    assert not ours.problems


def test_merging_again_takes_nothing_and_refuses_nothing(tmp_path, ours):
    theirs = folder(tmp_path / "theirs", specs(4))
    merge(ours, theirs, keep="mine")
    again = merge(ours, theirs, keep="mine")
    assert (again.taken, again.theirs, again.refused) == (0, 0, [])
    assert again.same + again.mine == 4


def test_a_folder_that_is_not_there_yet_is_made(tmp_path, ours):
    new = Store(tmp_path / "new")
    assert merge(new, ours).taken == 2
    assert files(new) == files(ours)


def test_the_same_run_made_differently_is_refused_with_both_origins(tmp_path, ours):
    theirs = folder(tmp_path / "theirs", specs(3), run={"host": "node9", "finished": "2026-02-02T00:00:00+00:00"})
    before = files(ours)
    merged = merge(ours, theirs)
    assert (merged.taken, len(merged.refused)) == (1, 2)
    name, why = merged.refused[0]
    assert "glia on demo_a, split" in name
    assert "here done on node7, 2026-01-02" in why
    assert "there done on node9, 2026-02-02" in why
    assert before.items() <= files(ours).items()


def test_keep_decides_and_what_gives_way_is_set_aside(tmp_path, ours):
    theirs = folder(tmp_path / "theirs", specs(2), run={"host": "node9"})
    before = files(ours)
    assert merge(ours, theirs, keep="mine").mine == 2
    assert files(ours) == before
    assert merge(ours, theirs, keep="theirs").theirs == 2
    assert files(ours) == files(theirs)
    aside = {path.read_bytes() for path in (ours.root / "set_aside").iterdir()}
    assert aside == set(before.values())


def otherwise(path, wanted):
    """The same runs with other predictions, made on node9."""
    store = Store(path)
    for spec in wanted:
        changed = {name: values[::-1] for name, values in predictions(spec).items()}
        store.write(body_of(spec, run={"host": "node9"}), changed)
    return store


def sound(store):
    """The hosts of the runs of a store, of which no record stands beside another's predictions."""
    records = list(store.records())
    for record in records:
        data = (store.runs / f"{record['key']}.npz").read_bytes()
        assert hashlib.sha256(data).hexdigest() == record["predictions_sha256"]
    return [record["run"]["host"] for record in records]


@pytest.mark.parametrize("ending", [".npz", ".json"])
def test_a_disk_that_fills_up_while_theirs_are_taken_costs_no_run_of_ours(tmp_path, ours, monkeypatch, ending):
    theirs, before = otherwise(tmp_path / "theirs", specs(2)), files(ours)
    make = tempfile.NamedTemporaryFile

    def full(*args, prefix, **more):
        if f"{ending}." in prefix:
            raise OSError(28, "No space left on device")
        return make(*args, prefix=prefix, **more)

    with monkeypatch.context() as patched, pytest.raises(StoreError, match="disk is full"):
        patched.setattr("tempfile.NamedTemporaryFile", full)
        merge(ours, theirs, keep="theirs")
    assert files(ours) == before
    assert merge(ours, theirs, keep="theirs").theirs == 2
    assert sound(ours) == ["node9", "node9"]


@pytest.mark.parametrize("ending", [".npz", ".json"])
def test_a_merge_that_is_killed_leaves_no_record_beside_other_predictions(tmp_path, ours, monkeypatch, ending):
    theirs, rename = otherwise(tmp_path / "theirs", specs(2)), Path.replace

    def killed(path, target):
        if target.suffix == ending:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("pathlib.Path.replace", killed)
        merge(ours, theirs, keep="theirs")
    assert len(sound(ours)) == 1
    merge(ours, theirs, keep="theirs")
    assert files(ours) == files(theirs)


def test_an_edited_record_is_refused_by_name_and_the_others_are_taken(tmp_path, ours):
    theirs = folder(tmp_path / "theirs", specs(4)[2:])
    edited = sorted(theirs.runs.glob("*.json"))[0]
    edited.write_text(edited.read_text().replace("node7", "node8"))
    merged = merge(ours, theirs)
    assert merged.taken == 1
    assert merged.refused == [(edited.name, "was changed after it was written (its hash no longer fits)")]
    assert not (ours.runs / edited.name).exists()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: path.unlink(), "its predictions are missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b" "), "its predictions were changed"),
    ],
)
def test_a_record_without_its_own_predictions_is_refused(tmp_path, ours, harm, says):
    theirs = folder(tmp_path / "theirs", specs(3)[2:])
    harm(next(theirs.runs.glob("*.npz")))
    before = files(ours)
    ((name, why),) = merge(ours, theirs).refused
    assert specs(3)[2].key in name
    assert says in why
    assert files(ours) == before


def test_a_record_of_a_newer_schema_is_refused(tmp_path, ours):
    theirs = folder(tmp_path / "theirs", specs(3)[2:])
    path = next(theirs.runs.glob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": SCHEMA + 1}))
    ((name, why),) = merge(ours, theirs).refused
    assert name == path.name
    assert "newer than" in why


def test_an_unsound_record_here_gives_way_and_is_kept(tmp_path, ours):
    theirs = Store(tmp_path / "theirs")
    merge(theirs, ours)
    path = sorted(ours.runs.glob("*.json"))[0]
    path.write_text("{half")
    assert merge(ours, theirs).taken == 1
    assert len(list(ours.records())) == 2
    assert "{half" in {p.read_text() for p in (ours.root / "set_aside").glob("*.json")}


def test_kept_states_are_taken_on_request_where_they_are_whole(tmp_path, ours):
    theirs = folder(tmp_path / "theirs", specs(4)[2:])
    whole, damaged = (theirs.state_path(spec) for spec in specs(4)[2:])
    state = {"head": torch.arange(4.0)}
    whole.parent.mkdir()
    whole.write_bytes(save(state, metadata={"sha256": state_hash(state)}))
    damaged.write_bytes(save(state, metadata={"sha256": "another"}))
    assert merge(ours, theirs).states == 0
    assert not (ours.root / "states").exists()
    assert merge(ours, theirs, states=True).states == 1
    assert [path.name for path in (ours.root / "states").iterdir()] == [whole.name]


def with_state(store, value):
    """The store, with a trained tensor of its first run kept."""
    state = {"head": torch.full((2,), value)}
    path = store.state_path(specs(1)[0])
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(save(state, metadata={"sha256": state_hash(state)}))
    return store


def kept(store):
    """The trained tensor that is kept of its first run; nothing where none is."""
    trained = read_trained(store.state_path(specs(1)[0]))
    return None if trained is None else float(trained.tensors["head"][0])


@pytest.mark.parametrize(
    ("keep", "here", "afterwards"),
    [("theirs", True, 9.0), ("theirs", False, 9.0), ("mine", True, 1.0), ("mine", False, None), ("", False, None)],
)
def test_no_record_lies_beside_weights_of_the_other_side(tmp_path, ours, keep, here, afterwards):
    theirs = with_state(otherwise(tmp_path / "theirs", specs(1)), 9.0)
    merge(with_state(ours, 1.0) if here else ours, theirs, keep=keep, states=True)
    assert kept(ours) == afterwards


def test_weights_of_a_record_that_gave_way_are_set_aside_with_it(tmp_path, ours):
    merge(with_state(ours, 1.0), otherwise(tmp_path / "theirs", specs(1)), keep="theirs")
    assert kept(ours) is None
    assert [path.suffix for path in (ours.root / "set_aside" / "states").iterdir()] == [".safetensors"]


def test_weights_are_not_taken_where_another_record_of_ours_is_of_that_training(tmp_path, ours):
    wider = specs(1)[0].with_tests(("demo_a:test", "demo_b:all"))
    theirs = with_state(folder(tmp_path / "theirs", [wider]), 9.0)
    assert merge(ours, theirs, states=True).taken == 1
    assert kept(ours) is None


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"half")])
def test_lost_predictions_of_the_same_record_are_given_back(tmp_path, ours, harm):
    theirs = Store(tmp_path / "theirs")
    merge(theirs, ours)
    harm(sorted(ours.runs.glob("*.npz"))[0])
    merged = merge(ours, theirs)
    assert "2 here already, predictions of 1 given back" in merged.sentence()
    assert files(ours) == files(theirs)


def test_a_folder_that_is_no_other_results_folder_is_an_error(tmp_path, ours):
    with pytest.raises(UsageError, match="this results folder itself"):
        merge(ours, Store(ours.root))
    with pytest.raises(UsageError, match="holds no runs"):
        merge(ours, Store(tmp_path))


def test_the_command_names_what_it_refused_and_says_so_by_its_exit_status(tmp_path, ours):
    folder(tmp_path / "theirs", specs(3), run={"host": "node9"})
    words = ["merge", str(tmp_path / "theirs"), "--results", str(ours.root)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert result.stdout == "1 record taken, 0 here already, 2 refused.\n"
    assert result.stderr.count("Refused: ") == 2
    assert "--keep mine or --keep theirs" in result.stderr
    assert CliRunner().invoke(app, [*words, "--keep", "theirs"]).exit_code == 0
    assert CliRunner().invoke(app, [*words, "--keep", "both"]).exit_code == 2
    assert CliRunner().invoke(app, ["merge", str(tmp_path / "nowhere")]).exit_code == 2
