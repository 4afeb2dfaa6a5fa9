"""Weights files that are damaged, hostile or of another network: one clear line each, and no code run."""

import hashlib
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from bench.core.errors import WeightsError
from bench.core.hashes import file_token
from bench.models.weights.formats import augreg_to_timm, read_tensors
from bench.models.weights.load import load_vit
from tests.checkpoints import TINY, as_augreg, load, random_state


@pytest.fixture(scope="module")
def tiny():
    return random_state(TINY)


@pytest.fixture
def tiny_file(tmp_path, tiny):
    """Writes a state, or anything else, with torch.save."""

    def write(content, name="weights.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def without(state, *names):
    return {name: tensor for name, tensor in state.items() if name not in names}


MISFITS = {
    "missing": (lambda s: without(s, "norm.bias", "cls_token"), r"2 missing \(cls_token, norm.bias\)"),
    "extra": (lambda s: s | {"blocks.0.ls1.gamma": torch.ones(192)}, r"1 not its own \(blocks.0.ls1.gamma\)"),
    "shape": (lambda s: s | {"norm.bias": torch.ones(7)}, r"1 of the wrong shape \(norm.bias 7 instead of 192\)"),
    "many": (lambda s: {k: v for k, v in s.items() if "blocks.1." not in k}, r"12 missing \(.* and 8 more\)"),
    "patch": (
        lambda s: s | {"patch_embed.proj.weight": torch.ones(192, 3, 32, 32)},
        r"patch_embed.proj.weight 192×3×32×32 instead of 192×3×16×16",
    ),
    "position": (lambda s: s | {"pos_embed": torch.ones(1, 14, 192)}, "timm cannot convert it|pos_embed"),
    "position rank": (lambda s: s | {"pos_embed": torch.ones(14)}, "timm cannot convert it|pos_embed"),
    "nan": (lambda s: s | {"norm.bias": torch.full((192,), torch.nan)}, "undefined numbers in norm.bias"),
    "sparse": (lambda s: s | {"norm.bias": torch.ones(192).to_sparse()}, "norm.bias is a sparse"),
    "empty": (lambda s: {}, "holds no tensors"),
    "no tensors": (lambda s: {"epoch": 3}, r"holds no tensors \(it holds epoch\)"),
    "a list": (lambda s: [torch.ones(3)], "holds a list, not named tensors"),
}


@pytest.mark.parametrize(("change", "said"), MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_is_named(change, said, tiny, tiny_file):
    with pytest.raises(WeightsError, match=said) as caught:
        load(TINY, tiny_file(change(tiny)))
    assert "weights.pth" in str(caught.value) or "sparse" in said
    assert len(str(caught.value)) < 400


def test_a_file_for_another_network_is_refused(tiny, tiny_file):
    with pytest.raises(WeightsError, match="does not fit vit_small_patch16_224.*wrong shape.*another network"):
        load("vit_small_patch16_224", tiny_file(tiny))


@pytest.mark.parametrize("kind", ["safetensors", "pth", "old", "npz"])
@pytest.mark.parametrize("share", [0.0, 0.00002, 0.5, 0.999])
def test_a_truncated_file_is_a_clear_error(kind, share, tiny, tmp_path):
    path = tmp_path / "cut"
    if kind == "safetensors":
        save_file(tiny, path)
    elif kind == "npz":
        with path.open("wb") as handle:
            np.savez(handle, **as_augreg(tiny, heads=3))
    else:
        torch.save(tiny, path, _use_new_zipfile_serialization=kind == "pth")
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(WeightsError, match="cut is (empty|damaged or incomplete|not a weights file)"):
        load(TINY, path)


def test_a_flipped_bit_in_an_archive_is_noticed(tiny, tmp_path):
    path = tmp_path / "tiny.npz"
    np.savez(path, **as_augreg(tiny, heads=3))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged or incomplete"):
        load(TINY, path)


class Trap:
    """What a malicious pickle does: calls something while it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_code_in_a_file_is_never_run(tiny, tiny_file, tmp_path):
    sprung = tmp_path / "sprung"
    bare = tmp_path / "bare.pkl"
    bare.write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    arrays = tmp_path / "objects.npz"
    np.savez(arrays, **{"embedding/kernel": np.array([Trap(sprung)], dtype=object)})
    for path in (tiny_file(tiny | {"x": Trap(sprung)}), bare, arrays):
        with pytest.raises(WeightsError, match="could run code|damaged"):
            load(TINY, path)
    assert not sprung.exists()


def test_a_torchscript_archive_is_refused_with_the_way_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "clip.pt", "w") as archive:
        archive.writestr("clip/code/__torch__.py", "")
        archive.writestr("clip/data.pkl", b"")
    with pytest.raises(WeightsError, match=r"TorchScript archive.*save its state_dict\(\)"):
        load(TINY, tmp_path / "clip.pt")


def test_an_npz_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "scores.npz", predicted=np.zeros(3))
    with pytest.raises(WeightsError, match="not an AugReg ViT"):
        load(TINY, tmp_path / "scores.npz")
    assert "strange.thing" in augreg_to_timm({"embedding/kernel": np.zeros((1, 1, 1, 1)), "strange/thing": np.ones(1)})


def test_a_missing_or_changed_file_is_told(tiny, tiny_file, tmp_path):
    with pytest.raises(WeightsError, match="none.pth cannot be read: No such file"):
        file_token(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="cannot be read: Is a directory"):
        file_token(tmp_path)
    path = tiny_file(tiny)
    token = file_token(path)
    with pytest.raises(WeightsError, match=f"wants the weights file with {token}: give it with --weights FILE"):
        load_vit(TINY, token, 224, files={}, cache=tmp_path)
    tiny_file(tiny | {"norm.bias": torch.zeros(192)})
    with pytest.raises(WeightsError, match="has changed since the plan was made"):
        load_vit(TINY, token, 224, files={token: path}, cache=tmp_path)


def test_a_token_is_the_hash_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_token(tmp_path / "a") == "sha256:" + hashlib.sha256(b"abc").hexdigest()[:16]


def _small_files():
    state = {"a.weight": torch.ones(3), "b": torch.zeros(2, 2)}
    new, old, arrays = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save(state, new)
    torch.save(state, old, _use_new_zipfile_serialization=False)
    np.savez(arrays, **{"embedding/kernel": np.ones((1, 1, 1, 1))})
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return [new.getvalue(), old.getvalue(), arrays.getvalue(), len(header).to_bytes(8, "little") + header + bytes(4)]


@settings(max_examples=200)
@given(base=st.sampled_from(_small_files()), data=st.data())
def test_fuzzed_files_give_tensors_or_a_clear_error(base, data, tmp_path_factory):
    changed = bytearray(base)
    for _ in range(data.draw(st.integers(0, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(changed[: data.draw(st.integers(0, len(changed)))] if data.draw(st.booleans()) else changed)
    try:
        kinds = {type(tensor) for tensor in read_tensors(path).values()}
    except WeightsError as error:
        kinds = {torch.Tensor} if len(str(error).splitlines()) == 1 else {str}
    assert kinds == {torch.Tensor}
