"""Whatever stands in a record, a claim or on the command line: a clear error, or a value, and nothing else."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.core.cards import Option
from bench.core.claims import Claims
from bench.core.errors import BenchError, StoreError, UsageError
from bench.core.spec import RunSpec, recipe_options
from bench.planning.budgets import parse_count
from bench.planning.plan import sort_settings
from bench.records.store import Store, check_record, record_hash
from tests.survive.makers import record_of, specs

THOUSAND = settings(max_examples=500)
SPEC = specs(1)[0]
SOUND = record_of(SPEC) | {"sha256": record_hash(record_of(SPEC))}
METHODS, PROTOCOLS = ["glia", "linear_probe", "lora"], ["main", "cross"]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([*recipe_options(), "rank", "layers", "grid", "fraction", "source", "colour", ""])
owners = st.sampled_from(["", "glia.", "lora.", "main.", "nobody.", "a:b."])


@THOUSAND
@given(st.dictionaries(st.sampled_from([*SOUND, "other"]), anything, max_size=4), st.booleans())
def test_a_record_with_anything_in_it_is_sound_or_a_clear_error(noise, hashed):
    record = SOUND | noise
    if hashed:
        try:
            record["sha256"] = record_hash(record)
        except ValueError:
            record["sha256"] = ""
    try:
        check_record(record, SPEC.key)
    except StoreError as error:
        assert "\n" not in str(error)
    else:
        assert RunSpec.from_dict(record["spec"]).key == SPEC.key
        assert record["status"] in ("done", "failed")


@THOUSAND
@given(anything)
def test_anything_at_all_in_place_of_a_record_is_a_clear_error(value):
    with pytest.raises(StoreError):
        check_record(value, SPEC.key)


@settings(max_examples=300)
@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b"\xff\xfe")
@example(b'{"schema": 1e999}')
def test_any_bytes_in_a_record_file_are_reported_and_left_alone(tmp_path_factory, data):
    store = Store(tmp_path_factory.mktemp("store"))
    store.runs.mkdir(parents=True)
    path = store.runs / f"{SPEC.key}.json"
    path.write_bytes(data)
    assert list(store.records()) == []
    assert len(store.problems) == 1
    assert path.read_bytes() == data


@settings(max_examples=300)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_any_changed_byte_of_a_record_is_seen(tmp_path_factory, place, byte):
    store = Store(tmp_path_factory.mktemp("store"))
    path = store.write(record_of(SPEC))
    data = bytearray(path.read_bytes())
    before = json.loads(data)
    data[place % len(data)] = byte
    path.write_bytes(data)
    found = list(store.records())
    assert found == [before] or (found == [] and store.problems)


@settings(max_examples=300)
@given(anything)
def test_any_claim_file_is_held_or_expired_and_never_a_crash(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("claims")
    (folder / "key").mkdir()
    (folder / "key" / "1").write_text(json.dumps(value))
    claims = Claims(folder, lease=-1.0)
    claims.held()
    claims.deadly()
    claims.take("key")
    heir = claims.take("key")
    if heir is not None:
        heir.release()


@THOUSAND
@given(st.lists(st.builds("{}{}{}{}".format, owners, names, st.sampled_from(["=", "", "=="]), st.text(max_size=8))))
def test_any_setting_is_taken_by_somebody_or_a_clear_error(texts):
    try:
        sort_settings(texts, METHODS, PROTOCOLS)
    except UsageError as error:
        assert str(error)


@THOUSAND
@given(st.lists(st.text(max_size=12), max_size=3))
def test_any_text_after_set_is_a_clear_error_or_a_setting(texts):
    try:
        sort_settings(texts, METHODS, PROTOCOLS)
    except UsageError as error:
        assert str(error)


@THOUSAND
@given(st.sampled_from(["int", "float", "str", "bool", 'Literal["a", "b"]']), st.text(max_size=12))
@example("int", "9" * 5000)
@example("float", "nan")
@example("float", "1e999")
def test_any_value_of_an_option_has_its_type_or_is_a_clear_error(kind, text):
    try:
        value = Option("x", kind, None).parse(text)
    except UsageError as error:
        assert "x" in str(error)
    else:
        assert type(value).__name__ == kind or value in ("a", "b")
        json.dumps(value, allow_nan=False)


@THOUSAND
@given(st.text(max_size=12))
@example("9" * 5000 + "M")
def test_any_budget_is_a_positive_count_or_a_clear_error(text):
    try:
        assert parse_count(text) >= 0
    except BenchError as error:
        assert str(error)
