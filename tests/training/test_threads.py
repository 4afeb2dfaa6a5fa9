"""Small steps are computed by one thread and networks by all, without a bit of difference."""

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import torch

from bench.core.machine import keep_freed_memory
from bench.core.threads import one_thread, trains_little
from bench.models.dropout import dropout
from bench.models.head import quality_head
from bench.models.losses import LOSSES
from bench.models.vit import Vit
from bench.training import loop as train
from bench.training import scoring as evaluate
from bench.training.packs import stack as stacked
from bench.training.packs.loop import make_pack
from bench.training.run import make_run
from bench.training.shared import Shared
from tests.world import make_world, tiny_runtime, tiny_spec


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def counted(monkeypatch):
    """How many threads torch had in every step, in every scoring of a batch, and in every pass of the network."""
    seen = {"step": [], "score": [], "network": []}

    def watch(owner, name, kind):
        whole = getattr(owner, name)

        def watched(*args, **kwargs):
            seen[kind].append(torch.get_num_threads())
            return whole(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)

    watch(train, "_step", "step")
    watch(stacked.HeadStack, "gradients", "step")
    watch(evaluate.QualityModel, "__call__", "score")
    watch(Vit, "forward", "network")
    return seen


def test_inside_one_thread_computes_and_afterwards_as_many_as_before():
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with one_thread(False):
        assert torch.get_num_threads() == 2


def test_another_thread_that_computes_alone_leaves_this_one_s_networks_their_threads():
    torch.set_num_threads(2)
    inside, go_on = Event(), Event()

    def other():
        with one_thread():
            inside.set()
            go_on.wait(10)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(other)
        assert inside.wait(10)
        kinds = re.findall(r"(?:omp|mkl)_get_max_threads\(\) : (\d+)", torch.__config__.parallel_info())
        go_on.set()
        done.result()
    assert kinds
    assert set(kinds) == {"2"}
    assert torch.get_num_threads() == 2


def test_steps_of_a_linear_probe_take_one_thread_once_its_features_are_there(tmp_path, data, counted):
    spec = tiny_spec("linear_probe", recipe={"epochs": 1})
    runtime, shared = tiny_runtime(tmp_path, data, threads=2), Shared()
    make_run(spec, runtime, shared=shared)
    assert set(counted["network"]) == {2}
    for seen in counted.values():
        seen.clear()
    make_run(tiny_spec("linear_probe", split=1, recipe={"epochs": 1}), runtime, shared=shared)
    assert not counted["network"]
    assert set(counted["step"]) == set(counted["score"]) == {1}
    assert torch.get_num_threads() == 2


def test_packs_of_linear_probes_as_well(tmp_path, data, counted):
    specs = [tiny_spec("linear_probe", split=split) for split in range(3)]
    make_run(specs[0], tiny_runtime(tmp_path, data, threads=2))
    counted["step"].clear()
    make = make_pack(specs[1:], tiny_runtime(tmp_path, data, threads=2))
    assert len(dict(make)) == 2
    assert set(counted["step"]) == {1}


@pytest.mark.parametrize("method", ["adapter", "glia"])
def test_methods_that_read_pictures_keep_all_threads(method, tmp_path, data, counted):
    make_run(tiny_spec(method, recipe={"epochs": 1}), tiny_runtime(tmp_path, data, threads=2))
    assert set(counted["step"]) == {2}


def test_a_model_that_trains_much_keeps_all_threads_on_vectors_too():
    assert trains_little(torch.nn.Linear(768, 1))
    assert not trains_little(torch.nn.Linear(768, 768))


def test_a_linear_probe_ends_in_the_same_bits_with_one_thread_and_with_two(tmp_path, data):
    spec = tiny_spec("linear_probe", recipe={"head": "linear", "loss": "mse"})
    one, two = (make_run(spec, tiny_runtime(tmp_path / str(n), data, threads=n)) for n in (1, 2))
    assert one[0]["loss"] == two[0]["loss"]
    assert all(np.array_equal(one[1][name], values) for name, values in two[1].items())


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_at_full_width_a_head_s_step_has_the_same_bits_with_one_thread_and_with_two(kind):
    torch.manual_seed(5)
    head, features, human = quality_head(kind, 768), torch.randn(128, 768), torch.randn(128)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.manual_seed(6)
        head.zero_grad()
        loss = LOSSES["plcc"](head(dropout(features, 0.1)).squeeze(-1), human)
        loss.backward()
        found.append([loss.detach(), *(parameter.grad.clone() for parameter in head.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_where_the_allocator_is_not_glibc_s_nothing_is_asked_of_it(monkeypatch):
    class Other:
        """Another system's C library."""

    monkeypatch.setattr("bench.core.machine.ctypes.CDLL", lambda _: Other())
    assert keep_freed_memory.__wrapped__() is False
