"""What a GPU would do, walked through with torch's fake tensors: every tensor on its device, no values computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.core.errors import UsageError
from bench.core.machine import refuse_precision, set_up
from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.data.pixels import on_gpu as placed
from bench.data.pixels.store import PixelStore
from bench.data.views.batches import ViewMaker
from bench.data.views.view import View
from bench.models.losses import LOSSES
from bench.training.step import gradients, gradients_in_parts
from tests.data.test_batches import MEAN, STD, make_dataset
from tests.methods.vits import SMALL_CNN, build, small_vit

OPTIONS = {
    "loda": {"cnn": SMALL_CNN},
    "hyperiqa": {"cnn": SMALL_CNN},
    "dbcnn_vgg": {"cnn": SMALL_CNN, "stage": "last"},
    "glia": {"grid": 4, "fragment": 16, "rank": 16},
}
CARDS = {name: METHODS.card(name).facts for name in METHODS.names()}
DESCENT = [name for name, facts in CARDS.items() if facts["learns"] == "descent" and not facts["family"]]
NAMES = [*DESCENT, "peft:lora"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    """A machine that seems to have a GPU: tensors know their shapes and places; mixing places is an error."""
    plain = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, pin_memory=False, **k: plain(*a, **k))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (1 << 36, 1 << 37))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def to_gpu(module: nn.Module) -> None:
    """Move a module's own tensors, as `Module.to` does; what it forgot to register stays behind."""
    moved: dict[int, Tensor] = {}
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                there = nn.Parameter(parameter.detach().to("cuda"), requires_grad=parameter.requires_grad)
                part._parameters[name] = moved.setdefault(id(parameter), there)  # type: ignore[assignment]
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = moved.setdefault(id(buffer), buffer.to("cuda"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [True, False], ids=["training", "testing"])
@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_of_a_method_is_where_its_model_is(name: str, training: bool, fake: FakeTensorMode) -> None:
    with torch._subclasses.fake_tensor.unset_fake_temporarily():
        model = build(name, small_vit(), **OPTIONS.get(name, {})).train(training)
    to_gpu(model)
    pictures = torch.empty(4, 3, 64, 64, device="cuda")
    inputs = dict.fromkeys(model.features.pictures, pictures)
    inputs |= {key: frozen.compute(pictures).float() for key, frozen in model.features.frozen.items()}
    human = torch.empty(4, device="cuda")
    scores = model(inputs)
    assert scores.device == torch.device("cuda:0")
    assert scores.shape == (4,)
    assert all(loss(scores.float(), human).device.type == "cuda" for loss in LOSSES.values())


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_whole_step_stays_on_a_device_that_is_not_the_cpu(
    name: str, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backward too, which torch cannot walk on fake CUDA tensors: here on its device without values."""
    monkeypatch.setattr(torch, "autocast", lambda *_a, **_k: nullcontext())  # it does not know that device
    device = torch.device("meta")
    model = build(name, small_vit(), **OPTIONS.get(name, {})).train().to(device)
    pictures = torch.empty(5, 3, 64, 64, device=device)
    inputs = dict.fromkeys(model.features.pictures, pictures)
    inputs |= {key: frozen.compute(pictures).float() for key, frozen in model.features.frozen.items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3)
    for _step in range(2):
        given = (model, inputs, torch.empty(5, device=device), LOSSES["plcc"], nullcontext)
        value = gradients(*given) if parts == 1 else gradients_in_parts(*given, parts)
        assert value.device == device
        assert all(p.grad is not None and p.grad.device == device for p in trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
    assert all(
        tensor.device == device for state in optimiser.state.values() for tensor in state.values() if tensor.ndim
    )


def test_a_tensor_left_behind_would_be_noticed(fake: FakeTensorMode) -> None:
    class Forgetful(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + self.__dict__["left_behind"]

    model = Forgetful(4, 1)
    model.__dict__["left_behind"] = torch.ones(1, 1)
    to_gpu(model)
    with pytest.raises(RuntimeError, match=r"same device|two devices"):
        model(torch.empty(2, 4, device="cuda"))


@pytest.mark.parametrize("resident", [True, False], ids=["store on the GPU", "store in the file"])
@pytest.mark.parametrize(
    "view", [View("crop", 32, flips=True), View("fragments", 32, grid=4, fragment=8), View("resize", 32)], ids=str
)
def test_views_end_on_the_gpu_wherever_the_store_lies(
    view: View, resident: bool, fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = make_dataset(tmp_path / "pictures")
    if not resident:
        monkeypatch.setattr(placed, "RESIDENT_SHARE", 0.0)
    maker = ViewMaker(dataset, {"v": view}, Recipe(size=32, short_side=0), tmp_path, "cuda", MEAN, STD)
    pictures = maker.pictures("v", np.arange(len(dataset)), epoch=1, number=0, training=True)
    assert [flat.is_cuda for flat in maker._flats.values()] == [resident]
    assert pictures.device.type == "cuda"
    assert pictures.shape == (len(dataset), 3, 32, 32)
    assert pictures.dtype == torch.float32


def test_runs_of_a_process_share_a_store_on_the_gpu_until_another_needs_the_room(
    fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset, checked, room, stores = make_dataset(tmp_path / "pictures"), [], [True], placed.PlacedStores()
    monkeypatch.setattr(PixelStore, "verify", lambda store, rows: checked.append(store.folder.name))
    monkeypatch.setattr(placed, "has_room", lambda *_: room[0])

    def flat(size: int) -> Tensor:
        recipe = Recipe(size=size, short_side=0)
        maker = ViewMaker(dataset, {"v": View("resize", size)}, recipe, tmp_path, "cuda", MEAN, STD, placed=stores)
        maker.pictures("v", np.arange(2), epoch=0, number=0, training=True)
        return next(iter(maker._flats.values()))

    assert flat(32) is flat(32)
    assert len(checked) == 1
    room[0] = False
    assert not flat(24).is_cuda
    room[0] = True
    flat(32)
    assert checked.count(checked[0]) == 2, "it had made room for the other"


@pytest.mark.parametrize("free", [300, 100])
def test_what_torch_holds_unused_is_room_for_a_store(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (free, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device=None: 600)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device=None: 500)
    assert placed.has_room(torch.device("cuda"), (free + 100) // 4)
    assert not placed.has_room(torch.device("cuda"), (free + 100) // 4 + 1)
    assert not placed.has_room(torch.device("cpu"), 1)


def test_convolutions_and_products_in_fp32_are_fp32() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    set_up(0)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_a_gpu_without_bf16_is_not_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an old card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    refuse_precision("bf16", card)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    refuse_precision("fp32", card)
    with pytest.raises(UsageError, match="an old card does not compute in it"):
        refuse_precision("bf16", card)


@pytest.mark.parametrize("precision", ["fp16", "auto"])
def test_no_device_is_asked_for_a_precision_that_there_is_not(precision: str) -> None:
    with pytest.raises(UsageError, match="is none of fp32, bf16"):
        refuse_precision(precision, torch.device("cpu"))
