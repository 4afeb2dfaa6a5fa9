"""A pack's random numbers: every run's own, whether its masks are drawn when asked for or by another thread before."""

import threading

import pytest
import torch
from torch.nn import functional as F

from bench.dice import Cup
from bench.dropout import dropout
from bench.step import random_states

CPU = torch.device("cpu")


def states_of(seeds):
    found = []
    for seed in seeds:
        torch.manual_seed(seed)
        found.append(random_states(CPU))
    return found


@pytest.fixture
def cup():
    made = Cup(states_of([1, 2, 3]), CPU)
    yield made
    made.close()


def alone(run, draws):
    """What a run draws on its own: `draws` are dropouts of tensors, one after the other; the last one's result."""
    torch.manual_seed(run + 1)
    return [draw(values, p) for draw, values, p in draws][-1]


def test_masks_drawn_ahead_are_those_each_run_draws_alone(cup):
    values = torch.randn(3, 7, 5)
    steps = [cup.head_dropout([0, 1, 2], values, 0.3).clone() for _ in range(6)]
    for run in range(3):
        for step, dropped in enumerate(steps, start=1):
            assert torch.equal(dropped[run], alone(run, [(dropout, values[run], 0.3)] * step))


def test_generators_stand_where_the_last_step_left_them_whatever_is_on_its_way(cup):
    values = torch.randn(3, 4, 5)
    for step in range(1, 5):
        cup.head_dropout([0, 1, 2], values, 0.5)
        for run in range(3):
            alone(run, [(dropout, values[run], 0.5)] * step)
            assert torch.equal(cup.states(run)[0], torch.get_rng_state())


def test_another_size_or_other_runs_take_back_what_was_drawn_ahead(cup):
    wide, narrow = torch.randn(3, 8, 5), torch.randn(3, 3, 5)
    for _ in range(3):
        cup.head_dropout([0, 1, 2], wide, 0.1)
    dropped = cup.head_dropout([0, 2], narrow[[0, 2]], 0.1)
    for place, run in enumerate((0, 2)):
        assert torch.equal(dropped[place], alone(run, [(dropout, wide[run], 0.1)] * 3 + [(dropout, narrow[run], 0.1)]))
    untouched = cup.head_dropout([1], narrow[[1]], 0.1)
    assert torch.equal(untouched[0], alone(1, [(dropout, wide[1], 0.1)] * 3 + [(dropout, narrow[1], 0.1)]))


def test_a_network_s_own_dropout_comes_in_its_turn(cup):
    values = torch.randn(3, 4, 6)
    for _ in range(3):
        inner = cup.torch_dropout([0, 1, 2], values, 0.2)
        outer = cup.head_dropout([0, 1, 2], values, 0.2).clone()
    turns = [(F.dropout, 0.2), (dropout, 0.2)] * 3
    for run in range(3):
        assert torch.equal(inner[run], alone(run, [(draw, values[run], p) for draw, p in turns[:-1]]))
        assert torch.equal(outer[run], alone(run, [(draw, values[run], p) for draw, p in turns]))


def test_only_wishes_that_come_again_are_drawn_ahead(cup, monkeypatch):
    drawn = []
    plain = Cup._draw
    monkeypatch.setattr(Cup, "_draw", lambda self, wish: drawn.append(threading.current_thread()) or plain(self, wish))
    values = torch.randn(3, 4, 5)
    for size in (4, 3, 4, 3):
        cup.head_dropout([0, 1, 2], values[:, :size], 0.1)
    assert drawn == [threading.current_thread()] * 4
    for _ in range(3):
        cup.head_dropout([0, 1, 2], values, 0.1)
    cup.states(0)
    assert drawn[4:6] == [threading.current_thread()] * 2
    assert all(thread.name.startswith("masks") for thread in drawn[6:])
    assert len(drawn[6:]) == 2


def test_masks_let_gradients_through_and_no_dropout_draws_nothing(cup):
    values = torch.ones(3, 4, 5, requires_grad=True)
    dropped = cup.head_dropout([0, 1, 2], values, 0.4)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped.detach())
    before = cup.states(0)[0].clone()
    assert cup.head_dropout([0, 1, 2], values, 0.0) is values
    assert torch.equal(cup.states(0)[0], before)


def test_closing_ends_the_thread():
    cup = Cup(states_of([1]), CPU)
    for _ in range(2):
        cup.head_dropout([0], torch.randn(1, 4, 5), 0.1)
    started = [thread for thread in threading.enumerate() if thread.name.startswith("masks")]
    assert started
    cup.close()
    assert not any(thread.is_alive() for thread in started)
