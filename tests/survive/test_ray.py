"""The Ray executor on real local clusters: cards pinned, lost workers and nodes survived, no run twice."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

ray = pytest.importorskip("ray")

from ray import cloudpickle  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from bench.core.claims import Claims  # noqa: E402
from bench.core.errors import UsageError  # noqa: E402
from bench.core.runtime import Runtime  # noqa: E402
from bench.execution.attempt import SPLIT_PARTS  # noqa: E402
from bench.execution.cluster.driver import execute_ray  # noqa: E402
from bench.execution.cluster.shares import Cluster as BenchCluster  # noqa: E402
from bench.execution.cluster.worker import Delivery  # noqa: E402
from bench.execution.orders import ExecutionOptions  # noqa: E402
from bench.execution.serial import execute_serial  # noqa: E402
from bench.execution.watching import Watcher  # noqa: E402
from bench.records.store import Store  # noqa: E402
from tests.survive import makers  # noqa: E402
from tests.survive.makers import specs  # noqa: E402

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.slow]
cloudpickle.register_pickle_by_value(makers)
CARDS = BenchCluster(cpus=4, gpus=2, card_bytes=80 << 30)
QUIET = {"include_dashboard": False, "logging_level": "error", "log_to_driver": False}


@pytest.fixture(scope="module")
def two_cards():
    """A cluster that declares two GPUs on a machine that need not have any."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=4, num_gpus=2, **QUIET)
    yield
    ray.shutdown()


@pytest.fixture
def runtime(tmp_path):
    (tmp_path / "results").mkdir()
    return Runtime(tmp_path / "results", tmp_path / "cache")


def lines(runtime):
    return (runtime.results / "log").read_text().split("\n")[:-1]


def records(runtime):
    return list(Store(runtime.results).records())


def wait_until_quiet(runtime, seconds=2.0):
    """Until no worker has written anything for some runs' length."""
    before, now = None, (lines(runtime), len(records(runtime)))
    while now != before:
        time.sleep(seconds)
        before, now = now, (lines(runtime), len(records(runtime)))


def test_every_run_has_a_card_of_its_own(two_cards, runtime):
    summary = execute_ray(specs(6), runtime, ExecutionOptions(), make=makers.noting)
    assert len(summary.done) == 6
    by_card = {}
    for record in records(runtime):
        by_card.setdefault(record["card"], []).append((record["begin"], record["end"]))
    assert set(by_card) == {"0", "1"}
    for times in by_card.values():
        times.sort()
        assert all(a[1] <= b[0] for a, b in zip(times, times[1:], strict=False))


class Taken(Watcher):
    """How long each run took."""

    def __init__(self):
        self.seconds = []

    def ended(self, spec, result, seconds, where=""):
        self.seconds.append(seconds)


def test_the_time_of_a_run_is_its_workers_and_not_what_it_waited_for_one(two_cards, runtime):
    taken, begin = Taken(), time.monotonic()
    execute_ray(specs(6), runtime, ExecutionOptions(watch=taken), make=makers.noting)
    on_two_cards = 2 * (time.monotonic() - begin)
    assert len(taken.seconds) == 6
    assert min(taken.seconds) > 0.3
    assert sum(taken.seconds) <= on_two_cards


def test_runs_of_little_memory_share_a_card(two_cards, runtime, monkeypatch):
    known = makers.record_of(specs(9)[8], memory_peak_bytes=1 << 30, numerics={"trained": {"device_type": "cuda"}})
    Store(runtime.results).write(known)
    monkeypatch.setattr("bench.execution.cluster.driver.look_at_cluster", lambda *_, **__: CARDS)
    execute_ray(specs(4), runtime, ExecutionOptions(), make=makers.waiting_for_company)
    made = [r for r in records(runtime) if "card" in r]
    assert len(made) == 4
    pairs = [(a, b) for a in made for b in made if a is not b and a["card"] == b["card"]]
    assert any(a["begin"] < b["end"] and b["begin"] < a["end"] for a, b in pairs)


def test_a_run_that_failed_elsewhere_has_failed(two_cards, runtime):
    execute_serial(specs(2), runtime, ExecutionOptions(), make=makers.failing)
    summary = execute_ray(specs(2), runtime, ExecutionOptions(), make=makers.instant)
    assert (summary.elsewhere, list(summary.failed)) == ([specs(2)[0].key], [specs(2)[1].key])


def test_a_run_whose_worker_is_lost_after_it_recorded_the_failure_has_failed(two_cards, runtime):
    summary = execute_ray(specs(1), runtime, ExecutionOptions(), make=makers.failed_and_lost)
    assert summary.done == []
    assert list(summary.failed.values()) == ["RunError: no, recorded by a worker that was lost afterwards"]


@pytest.fixture
def own_folders(monkeypatch):
    """Workers that do not share the results folder."""

    @contextmanager
    def elsewhere(results):
        yield results / "nowhere", "secret"

    monkeypatch.setattr("bench.execution.cluster.driver._token", elsewhere)


def test_workers_without_the_folder_hand_their_records_to_the_driver(two_cards, runtime, own_folders):
    assert len(execute_ray(specs(3), runtime, ExecutionOptions(), make=makers.noting).done) == 3
    found = records(runtime)
    assert len(found) == 3
    assert all(record["results"] != str(runtime.results) for record in found)


def test_what_a_worker_keeps_for_itself_is_not_taken_up_where_all_is_trained_again(two_cards, runtime, own_folders):
    (spec,) = specs(1)
    execute_ray([spec], runtime, ExecutionOptions(), make=makers.noting)
    kept = Store(Path(records(runtime)[0]["results"])).state_path(spec)
    for overwrite in ("failed", "always"):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(b"of an earlier training")
        assert len(execute_ray([spec], runtime, ExecutionOptions(overwrite), make=makers.noting).done) == 1
        assert kept.exists() is (overwrite == "failed")


def test_a_worker_killed_for_memory_is_followed_by_one_with_split_batches(two_cards, runtime, own_folders, monkeypatch):
    honest, killed = ray.get, []

    def get(reference, **more):
        value = honest(reference, **more)
        if isinstance(value, Delivery) and not killed:
            killed.append(value)
            raise ray.exceptions.OutOfMemoryError("the node ran out of memory")
        return value

    monkeypatch.setattr(ray, "get", get)
    said = []
    assert len(execute_ray(specs(1), runtime, ExecutionOptions(say=said.append), make=makers.noting).done) == 1
    assert [record["parts"] for record in records(runtime)] == [SPLIT_PARTS]
    assert any("gone (for memory)" in line for line in said)


def test_a_failed_run_is_recorded_and_not_sent_again(two_cards, runtime):
    summary = execute_ray(specs(2), runtime, ExecutionOptions(), make=makers.failing_and_logged)
    assert set(summary.failed.values()) == {"it cannot be done"}
    assert Counter(lines(runtime)) == Counter(spec.key for spec in specs(2))


def test_a_run_whose_worker_was_lost_is_sent_again(two_cards, runtime):
    (runtime.results / "lives").write_text("1")
    said = []
    summary = execute_ray(specs(3), runtime, ExecutionOptions(say=said.append), make=makers.deadly)
    assert len(summary.done) == 3
    assert Counter(lines(runtime))[specs(1)[0].key] == 2
    assert any(line.startswith("lost") for line in said)


def test_a_run_that_kills_every_worker_fails_in_the_end_with_the_reason(two_cards, runtime, monkeypatch):
    monkeypatch.setattr("bench.execution.attempt.UNEXPLAINED_DEATHS", 2)
    (runtime.results / "lives").write_text("99")
    summary = execute_ray(specs(3), runtime, ExecutionOptions(), make=makers.deadly)
    assert len(summary.done) == 2
    assert "died 2 times in a row" in summary.failed[specs(1)[0].key]


def test_ctrl_c_calls_all_workers_back(two_cards, runtime):
    threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    summary = execute_ray(specs(4), runtime, ExecutionOptions(), make=makers.stopped)
    assert summary.interrupted
    assert records(runtime) == []
    assert not Claims(runtime.results / "claims").held()


@pytest.mark.slow
def test_a_driver_that_is_killed_loses_nothing_and_nothing_is_made_twice(two_cards, runtime):
    code = (
        "import sys; from pathlib import Path; from ray import cloudpickle; from tests.survive import makers\n"
        "from bench.execution.orders import ExecutionOptions; from bench.execution.cluster.driver import execute_ray\n"
        "from bench.core.runtime import Runtime\n"
        "cloudpickle.register_pickle_by_value(makers)\n"
        "here = Runtime(Path(sys.argv[1]), Path(sys.argv[1]))\n"
        "execute_ray(makers.specs(12), here, ExecutionOptions(), sys.argv[2], makers.logged)"
    )
    address = ray.get_runtime_context().gcs_address
    driver = subprocess.Popen([sys.executable, "-c", code, str(runtime.results), address])
    while len(records(runtime)) < 3:
        assert driver.poll() is None
        time.sleep(0.1)
    driver.kill()
    driver.wait()
    wait_until_quiet(runtime)  # Ray ends the workers of a driver that is gone, in its own time
    kept = {record["key"]: record["sha256"] for record in records(runtime)}
    summary = execute_serial(specs(12), runtime, ExecutionOptions(), makers.instant)
    assert len(kept) + len(summary.done) == 12
    assert kept.items() <= {record["key"]: record["sha256"] for record in records(runtime)}.items()


def test_scheduling_costs_at_most_50_ms_a_run(two_cards, in_memory):
    runtime = Runtime(in_memory, in_memory)
    execute_ray(specs(8), runtime, ExecutionOptions(), make=makers.instant)  # workers are started once
    took = []
    for attempt in range(3):  # the best of three: other processes of the machine are no part of the cost
        wanted = [replace(spec, train="demo_b", tests=("demo_b:test",), limit=attempt + 5) for spec in specs(300)]
        begin = time.perf_counter()
        assert len(execute_ray(wanted, runtime, ExecutionOptions(), make=makers.instant).done) == 300
        took.append((time.perf_counter() - begin) / 300)
        if took[-1] < 0.05:
            break
    assert min(took) < 0.05


def test_a_cluster_that_does_not_answer_is_a_clear_error(runtime):
    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(UsageError, match="No Ray cluster answers"):
        execute_ray(specs(1), runtime, ExecutionOptions(), "127.0.0.1:1", makers.instant)


@pytest.mark.slow
def test_a_plan_ends_when_a_node_is_killed_in_the_middle(runtime):
    if ray.is_initialized():
        ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        doomed = cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, logging_level="error", log_to_driver=False)

        log, home = runtime.results / "log", ray.get_runtime_context().get_node_id()
        (runtime.results / "home").write_text(home)

        def kill():
            while not log.exists() or not any(home not in line for line in log.read_text().splitlines()):
                time.sleep(0.05)
            cluster.remove_node(doomed, allow_graceful=False)

        killer = threading.Thread(target=kill)
        killer.start()
        said = []
        summary = execute_ray(specs(10), runtime, ExecutionOptions(say=said.append), make=makers.endless_away_from_home)
        killer.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert len(summary.done) == 10
    assert len(records(runtime)) == 10
    begun = [line.split()[1] for line in lines(runtime) if line.startswith("begin")]
    assert len(set(begun)) == 10
    assert len(begun) <= 10 + 2  # only what was being made on that node is begun again
    assert any(line.startswith("lost") for line in said)
