"""What a run asks of a cluster, from the memory that runs like it were seen to use."""

from dataclasses import replace

from bench.execution.cluster.shares import Cluster, Shares, card_share
from tests.survive.makers import record_of, specs

CARDS = Cluster(cpus=16, gpus=2, card_bytes=80 << 30, node_bytes=64 << 30)
SPEC = specs(1)[0]


def measured(peak, device="cuda"):
    return Shares().learn_all([record_of(SPEC, memory_peak_bytes=peak, numerics={"trained": {"device_type": device}})])


def test_a_run_of_unknown_memory_gets_a_whole_card():
    assert Shares().wishes(SPEC, CARDS)["num_gpus"] == 1
    assert card_share(1 << 30, card_bytes=0) == 1


def test_small_runs_share_a_card_and_their_shares_hold_what_they_use():
    share = measured(4 << 30).wishes(SPEC, CARDS)["num_gpus"]
    assert share == 0.1
    assert share * CARDS.card_bytes > (4 << 30) * 1.3
    assert measured(4 << 30).slots(SPEC, CARDS) == 16


def test_what_needs_over_half_a_card_gets_all_of_it():
    assert measured(40 << 30).wishes(SPEC, CARDS)["num_gpus"] == 1


def test_other_batches_options_and_backbones_are_measured_anew():
    shares = measured(1 << 30)
    for other in (
        replace(SPEC, options={"layers": 2}),
        replace(SPEC, backbone="vit_large"),
        replace(SPEC, recipe=replace(SPEC.recipe, batch=8)),
    ):
        assert shares.wishes(other, CARDS)["num_gpus"] == 1
    assert shares.wishes(replace(SPEC, split=7), CARDS)["num_gpus"] < 1


def test_without_cards_a_run_asks_for_none_and_for_its_measured_memory():
    plain = Cluster(cpus=4, gpus=0, node_bytes=8 << 30)
    assert Shares().wishes(SPEC, plain) == {"num_cpus": 1, "num_gpus": 0}
    assert measured(1 << 30, "cpu").wishes(SPEC, plain)["memory"] > 1 << 30
    assert "memory" not in measured(20 << 30, "cpu").wishes(SPEC, plain)  # else it would wait for ever


def test_failed_runs_teach_nothing():
    assert Shares().learn_all([record_of(SPEC, status="failed", memory_peak_bytes=1)]).peaks == {}
