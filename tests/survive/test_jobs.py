"""Several processes on one plan: each run once and with the serial numbers, whoever dies, stops or fails."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from bench.core.claims import Claims
from bench.core.errors import StoreError
from bench.core.runtime import Runtime
from bench.execution.jobs import crew as crews
from bench.execution.jobs.crew import Crew, Room, crew_of, with_room
from bench.execution.jobs.driver import execute_jobs
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.records.store import Store
from tests.survive.killing import essence
from tests.survive.makers import brief, failing, log, makers_of, record_of, specs
from tests.world import TINY, make_world, toml_of

TWO = Crew(2, 1)


@pytest.fixture
def runtime(tmp_path):
    return Runtime(tmp_path / "results", tmp_path / "cache", device="cpu")


def made(runtime):
    return sorted(record["spec"]["split"] for record in Store(runtime.results).records())


def slow(spec, runtime, _report, signals, *_rest):
    """A run of three tenths of a second that says who made it."""
    log(runtime, f"{spec.split} {os.getpid()}")
    time.sleep(0.3)
    return record_of(spec), {}


def test_two_processes_make_each_run_once_and_all_of_it_is_told_here(runtime):
    said = []
    summary = execute_jobs(specs(6), runtime, ExecutionOptions(say=said.append), TWO, slow)
    lines = makers_of(runtime)
    assert sorted(int(split) for split, _ in lines) == list(range(6))
    assert len({pid for _, pid in lines}) == 2
    assert str(os.getpid()) not in {pid for _, pid in lines}
    assert sorted(summary.done) == sorted(spec.key for spec in specs(6))
    assert (summary.elsewhere, summary.failed, summary.interrupted) == ([], {}, False)
    assert sum(line.startswith("done") for line in said) == 6
    assert not Store(runtime.results).claims.held()


def test_one_job_is_the_serial_executor_in_this_process(runtime):
    mine = []

    def here(spec, *rest):
        mine.append(spec.split)
        return brief(spec, *rest)

    assert execute_jobs(specs(2), runtime, ExecutionOptions(), Crew(1), alone=here).done
    assert mine == [0, 1]


def test_a_failing_run_stops_no_other_and_is_told_with_its_reason(runtime):
    summary = execute_jobs(specs(4), runtime, ExecutionOptions(), TWO, failing)
    assert len(summary.done) == 2
    assert sorted(summary.failed.values()) == ["split 1 is odd", "split 3 is odd"]


def killed_once(spec, runtime, _report, *_rest):
    """The first to make split 1 is killed by it."""
    trace = runtime.results / "killed"
    if spec.split == 1 and not trace.exists():
        trace.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return record_of(spec), {}


@pytest.mark.slow
def test_the_run_of_a_killed_process_is_made_by_another_and_that_is_said(runtime):
    said = []
    summary = execute_jobs(specs(5), runtime, ExecutionOptions(say=said.append), TWO, killed_once)
    assert (len(summary.done), summary.elsewhere, summary.failed) == (5, [], {})
    assert any("split 1" in line and "signal 9" in line for line in said if line.startswith("lost"))
    assert made(runtime) == list(range(5))


def always_deadly(spec, runtime, *rest):
    """Split 0 kills whoever makes it."""
    if spec.split == 0:
        log(runtime, "killed")
        os.kill(os.getpid(), signal.SIGKILL)
    return brief(spec, runtime, *rest)


@pytest.mark.slow
def test_a_run_that_kills_every_process_has_failed_in_the_end_and_the_others_are_done(runtime):
    summary = execute_jobs(specs(3), runtime, ExecutionOptions(), TWO, always_deadly)
    assert len(summary.done) == 2
    assert "died 8 times" in next(iter(summary.failed.values()))
    assert (runtime.results / "log").read_text().count("killed") == 8


def wanting_memory(spec, runtime, _report, *_rest):
    """Odd splits find no memory beside others."""
    log(runtime, f"beside {spec.split}")
    if spec.split % 2:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 MiB")
    time.sleep(0.1)
    return record_of(spec), {}


def with_memory(spec, runtime, _report, *_rest):
    """A run that has the machine to itself."""
    log(runtime, f"alone {spec.split}")
    assert len(Store(runtime.results).claims.held()) == 1
    return record_of(spec, alone=True), {}


@pytest.mark.slow
def test_a_run_that_finds_no_memory_beside_others_is_made_again_alone(runtime):
    summary = execute_jobs(specs(4), runtime, ExecutionOptions(), TWO, wanting_memory, with_memory)
    assert (len(summary.done), summary.failed) == (4, {})
    lines = (runtime.results / "log").read_text().splitlines()
    assert sorted(lines[-2:]) == ["alone 1", "alone 3"]
    assert {r["spec"]["split"] for r in Store(runtime.results).records() if r.get("alone")} == {1, 3}


def roomy(reserved):
    """What a run took of a card of 80 GiB, as if there were one."""
    return Room(reserved << 30, free=(80 - reserved) << 30, card=80 << 30)


def waiting_for_two_others(spec, runtime, _report, *_rest):
    """After the first run, one that lasts until three processes are at it."""
    log(runtime, f"{spec.split} {os.getpid()}")
    end = time.monotonic() + 60
    while spec.split and len({pid for _, pid in makers_of(runtime)}) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    return record_of(spec), {}


@pytest.mark.slow
def test_on_a_card_the_first_run_is_alone_until_its_memory_is_known_and_then_as_many_as_fit(runtime):
    said = []
    options = ExecutionOptions(say=said.append)
    crew = Crew(4, 1, measured=True)
    summary = execute_jobs(specs(7), runtime, options, crew, waiting_for_two_others, room=partial(roomy, 20))
    assert len(summary.done) == 7
    lines = makers_of(runtime)
    assert lines[0][0] == "0"
    assert len({pid for _, pid in lines}) == 3
    assert any("takes 20.0 GiB of the card and 60.0 are free: 3 at once" in line for line in said)


def test_as_many_follow_the_first_as_the_card_has_room_for():
    crew = Crew(16, 1, measured=True)
    assert with_room(crew, roomy(2)) == 16
    assert with_room(crew, roomy(20)) == 3  # 60 - 4 free, 25 each
    assert with_room(crew, roomy(60)) == 1
    assert with_room(crew, Room(2 << 30, free=10 << 30, card=80 << 30)) == 2  # the rest is somebody else's


def test_a_crew_is_as_large_as_asked_and_its_threads_do_not_depend_on_what_is_left(runtime, monkeypatch):
    monkeypatch.setattr(crews, "_cores", lambda: 8)
    assert crew_of(1, 9, runtime) == Crew(1, 0)
    assert crew_of(4, 9, runtime) == Crew(4, 2)
    assert crew_of(4, 3, runtime) == Crew(3, 2)
    assert crew_of(16, 99, runtime) == Crew(16, 1)
    assert crew_of("auto", 99, runtime) == Crew(8, 1)
    assert crew_of("auto", 1, runtime) == Crew(1, 1)
    assert crew_of("auto", 99, replace(runtime, threads=4)) == Crew(2, 4)
    assert crew_of("auto", 99, replace(runtime, device="cuda")) == Crew(8, 1, measured=True)
    assert crew_of("auto", 99, replace(runtime, device="mps")).count == 1


def test_runs_that_a_stranger_holds_are_waited_for_and_counted_as_theirs_or_as_failed(runtime):
    theirs = specs(3)[0]
    execute_serial(specs(4)[3:], runtime, ExecutionOptions(), failing)
    held = Claims(runtime.results / "claims").take(theirs.training_key)
    done = []

    def say(line):
        done.append(line)
        if sum("done" in one for one in done) == 2:  # ours are made
            Store(runtime.results).write(record_of(theirs))
            held.release()

    summary = execute_jobs(specs(4), runtime, ExecutionOptions(say=say), TWO, brief)
    assert (len(summary.done), summary.elsewhere) == (2, [theirs.key])
    assert summary.failed == {specs(4)[3].key: "RunError: split 3 is odd"}
    assert sum(line.startswith("failed") for line in done) == 1


def test_a_member_of_an_array_leaves_a_stranger_s_run_to_them(runtime):
    held = Claims(runtime.results / "claims").take(specs(3)[0].training_key)
    summary = execute_jobs(specs(3), runtime, ExecutionOptions(wait=False, share=(1, 2)), TWO, brief)
    held.release()
    assert (len(summary.done), summary.elsewhere) == (2, [])


@pytest.mark.slow
def test_overwriting_everything_makes_each_run_once_more_and_no_more(runtime):
    execute_serial(specs(3), runtime, ExecutionOptions(), brief)
    before = {r["sha256"] for r in Store(runtime.results).records()}
    summary = execute_jobs(specs(3), runtime, ExecutionOptions(overwrite="always"), TWO, slow)
    assert len(summary.done) == 3
    assert len(makers_of(runtime)) == 3
    assert not before & {r["sha256"] for r in Store(runtime.results).records()}


def full(spec, *_rest):
    """A disk that fills up concerns every run."""
    raise StoreError("the disk is full")


@pytest.mark.slow
def test_what_concerns_every_run_ends_the_plan_with_its_own_words(runtime):
    with pytest.raises(StoreError, match="the disk is full"):
        execute_jobs(specs(4), runtime, ExecutionOptions(), TWO, full)
    assert made(runtime) == []
    assert not Store(runtime.results).claims.held()


def in_need_of(spec, runtime, _report, *_rest):
    """An ensemble is made when its members are."""
    log(runtime, spec.method)
    time.sleep(0.1 if spec.method == "glia" else 0)
    return record_of(spec), {}


@pytest.mark.slow
def test_runs_that_stand_on_others_come_after_them(runtime):
    ensembles = [replace(spec, method="ensemble", options={"of": "glia,lora"}) for spec in specs(2)]
    execute_jobs([*ensembles, *specs(4)], runtime, ExecutionOptions(), TWO, in_need_of)
    assert (runtime.results / "log").read_text().split() == ["glia"] * 4 + ["ensemble"] * 2


SETTINGS = {"epochs": 2, "batch": 8, "lr": 1e-2, "size": 32, "test_views": 2, "short_side": 0}
PLAN = ["run", "-m", "adapter,linear_probe", "-p", "main", "-d", "near", "--splits", "2", "--backbone", TINY]
PLAN += ["--weights", "random", "--preset", "demo", "--device", "cpu"]
PLAN += [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]


def command(home, *more):
    """`bench run` on a tiny plan in a process group of its own, as a terminal starts it."""
    home.mkdir(exist_ok=True)
    if not (home / "bench.toml").exists():
        (home / "bench.toml").write_text("[run]\nthreads = 1\n" + toml_of(make_world(home / "sets")))
    environment = {**os.environ, "GLIA_BENCH_CACHE": str(home / "cache")}
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen([sys.executable, "-m", "bench.cli", *PLAN, *more], cwd=home, env=environment, **how)


def workers_of(process):
    """The processes of the jobs of a command."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def live(pids):
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def wait_until(holds, seconds=120):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_the_numbers_of_jobs_are_those_of_one_after_another_with_as_many_threads(tmp_path):
    for name, more in (("serial", ()), ("jobs", ("--jobs", "2"))):
        process = command(tmp_path / name, *more)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert "4 done, 0 failed. Next" in said
        assert ("2 runs at once, 1 thread each" in said) == (name == "jobs")
        (tmp_path / name / "results" / "tables").mkdir(exist_ok=True)
    serial, jobs = (essence(tmp_path / name / "results") for name in ("serial", "jobs"))
    for found in (serial, jobs):
        for record in found.values():
            if isinstance(record, dict):
                record["data"] = str(record["data"]).replace(str(tmp_path), "")
    assert jobs == serial


@pytest.mark.slow
def test_ctrl_c_stops_all_after_their_step_and_the_same_command_goes_on(tmp_path):
    more = ("--jobs", "2", "--set", "epochs=400")
    process = command(tmp_path, *more)
    wait_until(lambda: len(Store(tmp_path / "results").claims.held()) >= 2)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "press Ctrl-C again" in said
    assert "The same command goes on from here." in said
    assert "Traceback" not in said
    assert not Store(tmp_path / "results").claims.held()
    assert list((tmp_path / "results" / "checkpoints").glob("*.safetensors"))


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once_and_gives_every_claim_back(tmp_path):
    process = command(tmp_path, "--jobs", "2", "--set", "epochs=4000")
    store = Store(tmp_path / "results")
    wait_until(lambda: len(store.claims.held()) >= 2)
    workers = workers_of(process)
    assert len(workers) == 2
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in said
    assert not list((store.root / "claims").glob("*/*"))
    assert not live(workers)


@pytest.mark.slow
def test_when_the_command_itself_is_killed_its_processes_stop_and_the_same_command_goes_on(tmp_path):
    process = command(tmp_path, "--jobs", "2")
    wait_until(lambda: len(Store(tmp_path / "results").claims.held()) >= 2)
    workers = workers_of(process)
    process.kill()
    process.communicate()
    wait_until(lambda: not live(workers))
    assert not Store(tmp_path / "results").claims.held()
    again = command(tmp_path, "--jobs", "2")
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert len(list(Store(tmp_path / "results").records())) == 4


@pytest.mark.slow
def test_a_failed_run_is_the_command_s_exit_code_and_events_are_as_of_one_process(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        "from methods.linear_probe import LinearProbe\n\n\n"
        "class Bad(LinearProbe):\n    packs = 1\n"
        "    def views(self, recipe):\n        raise RuntimeError('it is bad')\n"
    )
    process = command(tmp_path / "home", "-m", "bad", "--plugin", str(bad), "--jobs", "2", "--json", "--quiet")
    told, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    events = [json.loads(line) for line in told.splitlines()]
    ends = [event["status"] for event in events if event["event"] == "end"]
    assert sorted(ends) == ["done"] * 4 + ["failed"] * 2
    assert events[-1]["event"] == "plan_end"
    assert (events[-1]["made"], events[-1]["failed"], events[-1]["elsewhere"]) == (4, 2, 0)
    assert len({event["number"] for event in events if event["event"] == "begin"}) == 6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card: torch sees none")
def test_on_a_real_card_as_many_run_at_once_as_the_first_ones_memory_says(tmp_path):
    process = command(tmp_path, "--device", "cuda", "--jobs", "auto", "--splits", "4")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "8 done, 0 failed" in said
    assert "of the card and" in said
    made_on = {record["numerics"]["trained"]["device_type"] for record in Store(tmp_path / "results").records()}
    assert made_on == {"cuda"}


@pytest.mark.slow
def test_a_script_without_a_guard_may_ask_for_jobs(tmp_path):
    process = command(tmp_path, "--dry-run")
    process.communicate(timeout=120)
    script = tmp_path / "mine.py"
    script.write_text(
        "import bench\nprint('once')\n"
        f"settings = {SETTINGS!r}\n"
        f"rows = bench.run(['adapter', 'lora'], data='near', preset='demo', splits=1, backbone={TINY!r},\n"
        "                 weights='random', settings=settings, device='cpu', jobs=2)\n"
        "print(len(rows), 'rows')\n"
    )
    environment = {**os.environ, "GLIA_BENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.findall("once", done.stdout) == ["once"]
    assert "2 runs at once" in done.stderr
