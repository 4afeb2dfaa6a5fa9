"""Run specifications: canonical, hashed, and strict about what they are read from."""

import json
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BenchError, UsageError
from bench.core.spec import SCHEMA, Recipe, RunSpec, Target, canonical_json
from bench.planning.protocol import merge

SPEC = RunSpec("glia", "livec", ("livec:test",), options={"rank": 64, "lgf": True})


def test_the_order_of_options_and_tests_does_not_change_the_name():
    a = RunSpec("glia", "livec", ("a:test", "b:all"), options={"x": 1, "y": 2})
    b = RunSpec("glia", "livec", ("b:all", "a:test", "a:test"), options={"y": 2, "x": 1})
    assert a.key == b.key


def test_a_target_knows_its_set_and_its_part_and_is_written_as_it_always_was():
    spec = RunSpec("glia", "livec", ("my:set:all", "livec:test"))
    assert [(target.dataset, target.part) for target in spec.tests] == [("livec", "test"), ("my:set", "all")]
    assert spec.tests == ("livec:test", "my:set:all")
    assert canonical_json(spec.as_dict()["tests"]) == '["livec:test","my:set:all"]'
    assert Target.of("livec") == "livec:test"


@pytest.mark.parametrize("text", ["livec", ":test", "livec:train", "livec:"])
def test_a_target_that_names_no_set_or_no_part_is_refused_with_what_there_is(text):
    with pytest.raises(UsageError, match="none of DATASET:test, DATASET:all and DATASET:validation"):
        Target.parse(text)


def test_every_field_changes_the_name():
    changes = {
        "method": "lora",
        "train": "csiq",
        "tests": ("csiq:test",),
        "split": 1,
        "options": {"rank": 32},
        "backbone": "other",
        "weights": "random",
        "cnn_weights": "sha256:0123456789abcdef",
        "fraction": 0.2,
        "source": "all",
        "split_rule": "official",
        "recipe": Recipe(lr=1e-4),
        "recipe_from": "tuned",
        "precision": "bf16",
        "preset": "demo",
        "budget": 8,
        "limit": 5,
        "schema": 1,
    }
    base = SPEC.with_tests(("spaq:all",))
    assert set(changes) == set(base.as_dict())
    assert len({replace(base, **{name: value}).key for name, value in changes.items()} | {base.key}) == len(changes) + 1


def test_a_spec_survives_json():
    again = RunSpec.from_dict(json.loads(canonical_json(SPEC.as_dict())))
    assert again == SPEC
    assert again.key == SPEC.key


def test_the_name_is_the_same_in_another_process():
    code = "from tests.core.test_spec import SPEC; print(SPEC.key)"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == SPEC.key


def test_tests_do_not_change_what_is_trained():
    more = SPEC.with_tests(("livec:test", "csiq:all"))
    assert more.training_key == SPEC.training_key
    assert more.key != SPEC.key
    assert more.covers(SPEC)
    assert not SPEC.covers(more)


@pytest.mark.parametrize("asked_before", [False, True])
def test_a_run_in_another_split_is_the_run_that_names_that_split(asked_before):
    first = replace(SPEC, split=1, split_rule="kfold:7")
    if asked_before:  # what is kept of the first must not be taken for the other's
        assert first.key != first.training_key
    other, made = first.in_split(4), replace(first, split=4)
    assert other == made
    assert (other.key, other.training_key) == (made.key, made.training_key)
    assert other.beside_split == made.beside_split
    assert first.key != other.key
    assert first.in_split(1) is first
    with pytest.raises(UsageError, match="has the splits 0 to 6, not 7"):
        first.in_split(7)
    with pytest.raises(UsageError, match="split=-1 must not be negative"):
        first.in_split(-1)


def test_equal_trainings_are_made_once_with_the_tests_of_all():
    other = SPEC.with_tests(("csiq:all",))
    assert merge([SPEC, other, SPEC]) == [SPEC.with_tests(("livec:test", "csiq:all"))]


def test_a_run_that_gives_up_contents_for_validation_is_another_training_than_one_that_does_not():
    wider = SPEC.with_tests(("livec:test", "livec:validation"))
    assert not wider.covers(SPEC)
    assert merge([SPEC, wider]) == [SPEC, wider]


@pytest.mark.parametrize("change", [{"dropout": 0}, {"clip": 1}, {"weight_decay": 0}, {"lr": 1}, {"dropout": -0.0}])
def test_a_whole_number_in_the_place_of_a_float_is_the_same_run_when_it_is_read_back(change):
    spec = replace(SPEC, recipe=Recipe(**change))
    assert RunSpec.from_dict(json.loads(json.dumps(spec.as_dict()))).key == spec.key
    assert spec.key == replace(SPEC, recipe=Recipe(**{name: abs(float(value)) for name, value in change.items()})).key


def test_the_key_is_the_hash_of_one_canonical_text_of_the_whole_specification():
    spec = replace(SPEC, split=12, options={"split": 12, "quoted": '"split":12'})
    plain = spec.as_dict()
    assert plain["schema"] == SCHEMA
    del plain["split"]
    assert spec.key == sha256(canonical_json([plain, 12]).encode()).hexdigest()[:20]
    del plain["tests"]
    assert spec.training_key == sha256(canonical_json([plain, 12]).encode()).hexdigest()[:20]


def test_an_integer_and_a_fraction_of_the_same_value_are_two_specifications():
    wider = RunSpec.from_dict({**SPEC.as_dict(), "options": {"rank": 64.0, "lgf": True}})
    assert wider.key != SPEC.key


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method": 3}, "method"),
        ({"split": "two"}, "split"),
        ({"split": True}, "split"),
        ({"source": "half"}, "source"),
        ({"colour": "red"}, "colour"),
        ({"recipe": {"lr": "fast"}}, "lr"),
        ({"recipe": {"speed": 1}}, "speed"),
        ({"recipe": {"epochs": 0}}, "epochs"),
        ({"recipe": []}, "recipe"),
        ({"options": {"x": [1]}}, "options"),
        ({"tests": "livec:test"}, "tests"),
        ({"fraction": 0.9}, "fraction"),
    ],
)
def test_a_wrong_field_is_named(change, named):
    with pytest.raises(UsageError, match=named):
        RunSpec.from_dict(SPEC.as_dict() | change)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: RunSpec("glia", "livec", ("csiq:all",), source="all", recipe=Recipe(selection="oracle")),
            "which source=all trains on",
        ),
        (lambda: Recipe(selection="foo"), "selection='foo' is none of last, val, oracle"),
        (lambda: replace(SPEC, precision="fp8"), "precision='fp8' is none of fp32, bf16"),
        (lambda: replace(SPEC, source="half"), "source='half' is none of split, all"),
        (lambda: replace(SPEC, split=-1), "split=-1 must not be negative"),
        (lambda: replace(SPEC, limit=-5), "limit=-5 must not be negative"),
        (lambda: Recipe(epochs=2.0), "Recipe.epochs = 2.0 is not of type int"),
        (lambda: Recipe(flips=1), "Recipe.flips = 1 is not of type bool"),
        (lambda: Recipe(lr="fast"), "Recipe.lr = 'fast' is not of type float"),
    ],
)
def test_a_spec_that_could_not_be_read_back_cannot_be_made(make, says):
    with pytest.raises(UsageError, match=says):
        make()


def test_a_missing_field_is_named():
    with pytest.raises(UsageError, match="train"):
        RunSpec.from_dict({"method": "glia", "tests": []})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SPEC.as_dict(), "other"]), json_values, max_size=6))
def test_anything_else_gives_a_clear_error_and_no_other(noise):
    try:
        RunSpec.from_dict(SPEC.as_dict() | noise)
    except BenchError as error:
        assert str(error)
