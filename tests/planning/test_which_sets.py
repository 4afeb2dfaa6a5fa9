"""What a plan is about: every name that was typed is planned or refused, and without names what is configured."""

import pytest

from bench.cli.search import first_set
from bench.core.errors import UsageError
from bench.planning.plan import Ask, make_plan
from bench.planning.presets import PAPER
from bench.planning.which_sets import WhichSets
from tests.world import make_world

PAIRS = PAPER.cross


def plan(data=None, preset="paper", protocols=("main",), methods=("linear_probe",), **more):
    ask = Ask(methods=methods, protocols=protocols, preset=preset, weights="random", splits=1, data=data, **more)
    return make_plan(ask)


def trained_on(made):
    return {spec.train for spec in made.specs}


def pairs_of(made):
    return {(spec.train, test.removesuffix(":all")) for spec in made.specs for test in spec.tests}


@pytest.fixture
def lab(tmp_path):
    """bench.toml of a lab with two of the papers' sets and two of its own."""
    for name in ("csiq", "koniq10k"):
        (tmp_path / name).mkdir()
    return make_world(tmp_path) | {name: {"path": str(tmp_path / name)} for name in ("csiq", "koniq10k")}


def test_every_named_set_is_planned_own_ones_beside_the_presets(lab):
    assert trained_on(plan(lab, datasets=("csiq", "near"))) == {"csiq", "near"}
    assert trained_on(plan(lab, "demo", datasets=("near", "demo_a"))) == {"near", "demo_a"}
    assert trained_on(plan(lab, protocols=("strategies",), datasets=("near", "csiq"))) == {"near", "csiq"}


def test_without_names_the_plan_is_what_is_configured_and_says_what_it_leaves_out(lab):
    made = plan(lab)
    assert trained_on(made) == {"csiq", "koniq10k", "near", "far"}
    assert made.left_out == ("flive", "kadid10k", "live", "livec", "spaq", "tid2013")


def test_only_sets_of_the_protocol_are_said_to_be_left_out(lab):
    made = plan(lab, methods=("glia",), protocols=("guidance",))
    assert made.left_out == ("livec",)
    assert trained_on(made) == {"koniq10k", "near", "far"}


def test_own_sets_alone_make_a_plan(tmp_path):
    made = plan(make_world(tmp_path))
    assert trained_on(made) == {"near", "far"}
    assert len(made.left_out) == 8


def test_the_demo_preset_has_its_sets_and_the_users_own(lab):
    assert trained_on(plan(lab, "demo")) == {"demo_a", "demo_b", "demo_wild", "near", "far"}
    assert trained_on(plan({}, "demo")) == {"demo_a", "demo_b", "demo_wild"}


def test_distortions_leave_own_sets_out_unless_they_are_named(tmp_path):
    data = make_world(tmp_path)
    assert trained_on(plan(data, "demo", protocols=("distortions",), methods=("glia",))) == {"demo_a", "demo_b"}
    named = plan(data, "demo", protocols=("distortions",), methods=("glia",), datasets=("near",))
    assert trained_on(named) == {"near"}


def test_a_plan_of_which_nothing_is_configured_says_where_to_say_so():
    with pytest.raises(UsageError, match=r"none of its sets is configured \(csiq, .*\[data\] root = "):
        plan({})


def test_a_set_that_has_nobody_to_pair_with_is_refused_by_its_name(tmp_path):
    says = r"cross has no run with --dataset near, .* not configured \(csiq, .*name two, or say --train-on"
    with pytest.raises(UsageError, match=says):
        plan({"near": make_world(tmp_path)["near"]}, protocols=("cross",), datasets=("near",))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"datasets": ("csiq", "naer")}, "Unknown dataset 'naer'. Did you mean near"),
        ({"protocols": ("cross",), "train_on": ("csqi",)}, "Unknown dataset 'csqi'. Did you mean csiq"),
        ({"protocols": ("cross",), "datasets": ("near",)}, "It trains on one set and tests on another: name two, or"),
        (
            {"train_on": ("near",)},
            r"that pair sets \(cross, gmad, joint, koniq_cross, matrix\); main does not",
        ),
        ({"protocols": ("cross", "main"), "test_on": ("near",)}, "main does not: name sets with --dataset"),
        (
            {"protocols": ("cross",), "train_on": ("near", "far"), "test_on": ("far",)},
            "No run of cross is planned for --train-on far",
        ),
        (
            {"protocols": ("cross",), "train_on": ("near",), "test_on": ("far",), "datasets": ("csiq",)},
            "No run of cross is planned for --dataset csiq",
        ),
        (
            {"protocols": ("components",), "methods": ("glia", "lora")},
            "No run of components is planned for --method lora",
        ),
        (
            {"protocols": ("main", "components"), "methods": ("lora",)},
            "components has no run with --method lora; without it there are",
        ),
        (
            {"protocols": ("cross",), "train_on": ("near",), "test_on": ("near",)},
            "cross has no run with --train-on near",
        ),
    ],
)
def test_a_name_that_plays_no_part_is_refused_by_name(lab, asked, says):
    with pytest.raises(UsageError, match=says):
        plan(lab, **asked)


@pytest.mark.parametrize("protocol", ["cross", "gmad", "koniq_cross", "matrix"])
def test_a_preset_that_pairs_no_sets_asks_for_two(protocol):
    with pytest.raises(UsageError, match="It trains on one set and tests on another: name two, or say --train-on A"):
        plan({}, "study", protocols=(protocol,), methods=("glia",))


def test_all_methods_may_be_more_than_a_protocol_is_about(lab):
    assert {spec.method for spec in plan(lab, protocols=("components",), methods=("all",)).specs} == {"glia"}


@pytest.mark.parametrize("protocol", ["cross", "gmad"])
def test_sources_and_targets_are_paired_each_with_each_other_one(lab, protocol):
    made = plan(lab, protocols=(protocol,), train_on=("csiq", "near"), test_on=("near", "far"))
    assert pairs_of(made) == {("csiq", "near"), ("csiq", "far"), ("near", "far")}


def test_a_target_alone_is_tested_by_every_source_that_is_there(lab):
    assert pairs_of(plan(lab, protocols=("cross",), test_on=("near",))) == {("koniq10k", "near"), ("csiq", "near")}


def test_a_source_alone_is_tested_on_all_that_is_there(lab):
    made = plan(lab, protocols=("cross",), train_on=("near",))
    assert pairs_of(made) == {("near", "koniq10k"), ("near", "csiq"), ("near", "far")}


def test_cross_tests_on_own_sets_and_pairs_them_where_it_has_no_source(lab, tmp_path):
    made = plan(lab, protocols=("cross",))
    assert pairs_of(made) == {(a, b) for a in ("csiq", "koniq10k") for b in ("near", "far")}
    own = {name: lab[name] for name in ("near", "far")}
    assert pairs_of(plan(own, protocols=("cross",))) == {("near", "far"), ("far", "near")}


def test_named_sets_that_no_paper_pairs_are_paired_with_all_others():
    found = WhichSets(named=("flive", "koniq10k", "mine")).pairs(PAIRS)
    assert found[0] == ("flive", "koniq10k")
    assert set(found[1:]) == {
        ("flive", "mine"), ("koniq10k", "mine"), ("mine", "flive"), ("mine", "koniq10k"),
    }  # fmt: skip


def test_tune_takes_the_first_set_that_is_configured(lab, tmp_path):
    from bench.planning.presets import DEMO

    assert first_set(PAPER, lab) == "csiq"
    assert first_set(PAPER, {"near": lab["near"]}) == "near"
    assert first_set(DEMO, {}) == "demo_a"
    with pytest.raises(UsageError, match="No set is configured"):
        first_set(PAPER, {})
