"""A change to a method that is declared to change no number is held to that: to the bit, in a tiny run.

For every entry {method: {old hash: new hash}} of methods/refactorings.json the old source lies here, as
refactored/OLD_HASH.py; the new one is the method as it stands, or the next entry's old source.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.core.code import REFACTORINGS, code_hash
from bench.core.registry import METHODS
from bench.training.run import make_run
from tests.core.plugins import TINY_OPTIONS, edit, register, write_copy
from tests.methods.vits import SMALL_CNN
from tests.world import make_world, tiny_runtime, tiny_spec

HERE = Path(__file__).parent.parent
DECLARED = json.loads((HERE.parent / "methods" / REFACTORINGS).read_text())
OPTIONS = {
    "glia": TINY_OPTIONS,
    "loda": {"cnn": SMALL_CNN, "latent": 8, "heads": 2, "pool": 2},
    "dbcnn_vgg": {"cnn": SMALL_CNN, "stage": "last"},
}
RECIPES = {"dbcnn_vgg": {"schedule": "own", "lr": 0.05}}
"""Under which the code that changed is run."""

pytestmark = pytest.mark.usefixtures("own_methods")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def differs(old: str, new: str, options: dict, data, home: Path, **recipe) -> list[str]:
    """What two registered methods do not have in common to the bit: of losses, predictions and trained tensors."""
    (one, arrays), (other, others) = (
        make_run(tiny_spec(name, options=options, recipe=recipe), tiny_runtime(home / name, data))
        for name in (old, new)
    )
    found = [name for name in arrays if not np.array_equal(arrays[name], others[name])]
    states = [next((home / name / "results" / "states").glob("*.safetensors")).read_bytes() for name in (old, new)]
    tensors = [state[8 + int.from_bytes(state[:8], "little") :] for state in states]  # behind safetensors' header
    return found + ["loss"] * (one["loss"] != other["loss"]) + ["tensors"] * (tensors[0] != tensors[1])


@pytest.mark.parametrize(
    ("method", "old", "new"), [(m, *pair) for m, pairs in DECLARED.items() for pair in pairs.items()]
)
def test_every_refactoring_that_we_declare_is_one(method, old, new, data, tmp_path):
    kept = {path.stem: path for path in (HERE / "refactored").glob("*.py")}
    register(kept[old])
    if new in kept:
        register(kept[new])
    successor = new if new in kept else method
    assert (code_hash(old), code_hash(successor)) == (old, new)
    assert differs(old, successor, OPTIONS.get(method, {}), data, tmp_path, **RECIPES.get(method, {})) == []


@pytest.fixture
def pair(tmp_path):
    """A made-up plugin as it was and as it is, named as their files are."""
    return [register(write_copy(tmp_path / f"{name}.py", name)) for name in ("before", "after")]


def test_a_true_refactoring_is_found_to_be_one(pair, data, tmp_path):
    edit(pair[1], "low = self.down(tokens)", "down = self.down\n        low = down(tokens)")
    assert code_hash("before") != code_hash("after")
    assert differs("before", "after", TINY_OPTIONS, data, tmp_path) == []


def test_a_refactoring_that_moves_a_number_a_little_is_found_out(pair, data, tmp_path):
    edit(pair[1], "tokens + self.scale * raised", "tokens + self.scale * raised * (1 + 1e-6)")
    assert "tensors" in differs("before", "after", TINY_OPTIONS, data, tmp_path)


def test_a_kept_source_is_known_by_its_hash_wherever_it_lies(tmp_path):
    old = code_hash("glia")
    kept = tmp_path / f"{old}.py"
    kept.write_text((HERE.parent / "methods" / "glia.py").read_text())
    register(kept)
    assert old in METHODS
    assert code_hash(old) == old
