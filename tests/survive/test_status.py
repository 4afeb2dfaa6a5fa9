"""`bench status`: every run of a plan in one state, with where, since when, how long still, and why not."""

import json
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.problems import report_problems
from bench.cli.status import describe_holder, print_status, read_status
from bench.core.claims import LEASE_SECONDS, Claims
from bench.core.errors import DataError, RunError
from bench.core.progress import silent
from bench.execution.attempt import AnswersSincePlan, claim_run
from bench.execution.orders import watched
from bench.execution.outcome import Result, failure, write_result
from bench.records.plans import forget_plans, note_failure, note_plan
from bench.records.store import Problem, Store
from bench.training.record import failed_record
from tests.survive.makers import record_of, specs


@pytest.fixture
def store(tmp_path):
    """One run done, one failed, one running, two pending."""
    store = Store(tmp_path)
    wanted = specs(5)
    note_plan(store, wanted)
    store.write(record_of(wanted[0]))
    store.write(failed_record(wanted[1], RunError("the loss is [nan]")))
    claim = store.claims.take(wanted[2].training_key, method="glia", train="demo_a", split=2)
    yield store
    claim.release()


def test_every_run_of_a_plan_is_in_one_state(store):
    status = read_status(store)
    totals = {state: status.total(state) for state in ("done", "failed", "running", "pending")}
    assert totals == {"done": 1, "failed": 1, "running": 1, "pending": 2}


def test_a_failed_run_says_why_and_how_to_try_again(store, capsys):
    print_status(store.root)
    said = capsys.readouterr().out
    assert "glia on demo_a, split 1: RunError: the loss is [nan]" in said
    assert "--overwrite failed" in said
    assert "1 done, 1 failed, 1 running, 2 pending" in said


def test_a_failed_run_is_no_news_once_one_of_more_tests_is_done(tmp_path, capsys):
    store, (spec,) = Store(tmp_path), specs(1)
    store.write(failed_record(spec, RunError("the loss is [nan]")))
    store.write(record_of(spec.with_tests(("demo_a:test", "demo_b:all"))))
    print_status(tmp_path)
    assert "1 done, 0 failed" in capsys.readouterr().out


def test_a_running_run_says_where_since_when_and_how_long_still():
    facts = {"method": "glia", "train": "koniq10k", "split": 3, "host": "node7", "pid": 12, "since": 1000.0}
    facts |= {"doing": "training", "at": 25, "of": 100, "doing_since": 1000.0, "first": 0}
    said = describe_holder(facts, now=1060.0)
    assert said == "glia on koniq10k, split 3: on node7 (process 12) for 60 s, training 25/100, about 3 min left"
    assert "on node9 GPU 1 for" in describe_holder(facts | {"where": "node9 GPU 1"}, now=1060.0)


def test_the_time_left_is_by_the_steps_of_this_training_alone():
    facts = {"since": 1000.0, "doing": "training", "at": 910, "of": 1000, "doing_since": 1300.0, "first": 900}
    assert describe_holder(facts, now=1310.0).endswith("training 910/1000, about 2 min left")
    for unknown in ({"first": 910}, {"first": None, "doing_since": None}):
        assert describe_holder(facts | unknown, now=1310.0).endswith("training 910/1000")


def test_a_note_says_since_when_a_run_does_what_it_does_and_at_which_step_it_began(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("bench.execution.orders.time.time", lambda: now[0])
    claim = Claims(tmp_path).take("key")
    noted = []
    for what, done in (("reading", 0), ("training", 900), ("training", 910), ("training", 400), ("testing", 0)):
        watched(silent, claim)(done, 1000, what)  # a cluster's driver asks for it anew each time
        noted.append((claim.facts["doing_since"], claim.facts["first"], claim.facts["at"]))
        now[0] += 10
    claim.release()
    assert noted == [(1000, 0, 0), (1010, 900, 900), (1010, 900, 910), (1030, 400, 400), (1040, 0, 0)]


def test_a_holder_that_fell_silent_is_said_to_be():
    assert "no sign of life" in describe_holder({"silent": LEASE_SECONDS + 1}, now=0.0)


def test_a_clock_that_went_backwards_gives_no_negative_times():
    facts = {"since": 2000.0, "doing": "training", "at": 1, "of": 2, "doing_since": 2000.0, "first": 0}
    assert "-" not in describe_holder(facts, now=1000.0)


def test_claims_and_plans_that_are_damaged_do_not_stop_it(tmp_path, capsys):
    store = Store(tmp_path)
    note_plan(store, specs(1)).write_text("{half")
    (tmp_path / "claims" / "key").mkdir(parents=True)
    (tmp_path / "claims" / "key" / "1").write_text('{"since": "yesterday", "at": null, "of": []}')
    print_status(tmp_path)
    assert "1 running" in capsys.readouterr().out


def test_names_from_files_are_not_read_as_markup(tmp_path, capsys):
    store = Store(tmp_path)
    claim = store.claims.take("key", method="[red]m[/red]", train="[/]", split=0)
    print_status(tmp_path)
    claim.release()
    said = capsys.readouterr().out
    assert "[red]m[/red]" in said
    assert "[/]" in said


def test_a_plan_begun_again_is_noted_once(tmp_path):
    store = Store(tmp_path)
    assert note_plan(store, specs(3)) == note_plan(store, list(reversed(specs(3))))
    assert len(list((tmp_path / "plans").iterdir())) == 1


def test_a_beat_carries_what_the_run_is_doing(tmp_path):
    claim = Claims(tmp_path, beat=0.05).take("key")
    claim.note(doing="training", at=3, of=9)
    time.sleep(0.4)
    facts = json.loads(claim.path.read_text())
    claim.release()
    assert (facts["doing"], facts["at"]) == ("training", 3)
    assert facts["beat"] > 0


def test_a_file_that_is_not_used_is_named_with_one_full_stop(tmp_path, capsys):
    report_problems(Store(tmp_path, [Problem(tmp_path / "a.json", "holds a spec that cannot be read: x is wrong.")]))
    assert capsys.readouterr().err == "Not used: a.json holds a spec that cannot be read: x is wrong.\n"


def test_rows_say_preset_and_backbone_where_these_differ_and_the_title_where_not(tmp_path, capsys):
    store = Store(tmp_path)
    one, two = specs(2)
    store.write(record_of(one))
    print_status(tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert f"preset paper, backbone {one.backbone}" in said
    store.write(record_of(replace(two, preset="demo", backbone="vit_small_patch14_dinov2")))
    print_status(tmp_path)
    said = capsys.readouterr().out
    for word in ("paper", one.backbone, "demo", "vit_small_patch14_dinov2"):
        assert word in said


def test_runs_that_stand_on_no_backbone_have_none_in_the_title(tmp_path, capsys):
    (spec,) = specs(1)
    Store(tmp_path).write(record_of(replace(spec, method="mean", backbone="", options={})))
    print_status(tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert f"preset {spec.preset} " in said
    assert ", backbone" not in said


def test_a_pending_and_a_running_run_know_their_preset_and_backbone(tmp_path):
    store = Store(tmp_path)
    wanted = specs(2)
    note_plan(store, wanted)
    claim = claim_run(store, wanted[0], AnswersSincePlan(store, wanted, "never"))
    counts = read_status(store).counts
    claim.release()
    assert list(counts) == [("glia", "demo_a", "paper", wanted[0].backbone)]
    assert counts["glia", "demo_a", "paper", wanted[0].backbone] == {"running": 1, "pending": 1}


def test_a_plan_noted_before_presets_were_is_still_read(tmp_path):
    store, (spec,) = Store(tmp_path), specs(1)
    path = note_plan(store, [spec])
    noted = json.loads(path.read_text())
    path.write_text(json.dumps(noted | {"runs": [run[:4] for run in noted["runs"]]}))
    assert read_status(store).counts == {("glia", "demo_a", "?", "?"): {"pending": 1}}


def test_an_attempt_that_left_no_record_is_listed_with_why_until_it_is_made(tmp_path, capsys):
    store, (spec,) = Store(tmp_path), specs(1)
    note_plan(store, [spec])
    write_result(store, spec, failure(spec, DataError("demo_a: no folder is configured")))
    print_status(tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert "tried glia on demo_a, split 0: demo_a: no folder is configured" in said
    assert "1 pending" in said
    write_result(store, spec, Result("done", record_of(spec)))
    print_status(tmp_path)
    assert "tried" not in capsys.readouterr().out


def test_a_run_that_one_of_more_tests_answers_for_is_neither_pending_nor_told_of(tmp_path):
    store, (spec,) = Store(tmp_path), specs(1)
    note_plan(store, [spec])
    note_failure(store, spec, "no folder is configured")
    store.write(record_of(spec.with_tests(("demo_a:test", "demo_b:all"))))
    status = read_status(store)
    assert (status.total("done"), status.total("pending"), status.unmade) == (1, 0, ())
    assert forget_plans(store).runs == 0


def test_plans_that_were_given_up_can_be_forgotten_and_nothing_else_is(store, capsys):
    note_failure(store, specs(4)[3], "no such folder")
    kept = forget_plans(store)
    assert (kept.plans, kept.kept) == (0, 1), "a run of this plan is being made"
    note_plan(store, specs(2, method="lora"))
    gone = forget_plans(store)
    assert (gone.plans, gone.runs, gone.kept) == (1, 2, 1)
    totals = read_status(store)
    assert totals.total("done") == 1
    assert totals.total("failed") == 1
    assert totals.total("pending") == 2
    assert not totals.unmade


def test_the_command_forgets_plans_and_says_what_that_means(tmp_path):
    note_plan(Store(tmp_path), specs(3))
    words = ["status", "--results", str(tmp_path)]
    assert "`bench status --forget` forgets plans that were given up." in CliRunner().invoke(app, words).stdout
    said = CliRunner().invoke(app, [*words, "--forget"]).stdout
    assert said.startswith("1 plan with 3 pending runs forgotten.")
    assert "0 pending" in said
