"""Training steps made faster where they are asked for: repeated parts compiled, whole steps replayed as CUDA graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.core.errors import RunError
from bench.models.dropout import Dropout
from bench.models.method import QualityModel
from bench.training.step import Inputs

Step = Callable[[Inputs, Tensor], Tensor]
"""(inputs, targets) → the loss, with gradients in the parameters."""
Replay = Callable[[], None]
Record = Callable[[Callable[[], Tensor]], tuple[Tensor, Replay]]
"""Records what a body does to the device without doing it: (the loss it will write, what does it)."""

KINDS = 64
"""How many variants of one piece of code torch may compile; its usual 8 are too few for a plan of many methods."""
EAGER = 3
"""Steps of each size of batch that are made as usual before one is recorded: libraries choose their kernels in them."""


class CompiledParts:
    """A model whose repeated parts (the ViT's blocks, a method's own) go through torch.compile while it is called.

    Parts alike are compiled once for all, which takes a fraction of the time that the whole model takes. Scoring calls
    the model itself, and stays plain.
    """

    def __init__(self, model: QualityModel) -> None:
        import torch._dynamo.config as dynamo
        import torch._inductor.config as inductor

        inductor.fallback_random = True  # its own generator would give dropout other masks: another training
        dynamo.recompile_limit = max(dynamo.recompile_limit, KINDS)
        self.model = model
        self.parts = [(part, torch.compile(part.forward)) for part in repeated(model)]
        for layer in model.modules():
            if isinstance(layer, Dropout):  # for a second size of batches it would be given other masks than without
                layer.forward = torch.compiler.disable(layer.forward)  # type: ignore[method-assign]

    def __call__(self, inputs: Inputs) -> Tensor:
        """What the model gives."""
        for part, forward in self.parts:
            part.forward = forward  # type: ignore[method-assign, assignment]
        try:
            scores: Tensor = self.model(inputs)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            raise RunError(
                f"torch.compile failed: {str(error).splitlines()[0]}. If it was killed before, half a file may lie in "
                "its cache: empty that (TORCHINDUCTOR_CACHE_DIR, else torchinductor_* among temporary files), or leave "
                "out --compile."
            ) from error
        finally:
            for part, _ in self.parts:
                del part.forward
        return scores


def repeated(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost parts that a module has several of in a row, alike to the shape, and made of layers themselves."""
    children = list(module.children())
    row = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
    kinds = Counter(_kind(child) for child in children if row and any(child.children()))
    for child in children:
        if kinds[_kind(child)] > 1:
            yield child
        else:
            yield from repeated(child)


def _kind(part: nn.Module) -> tuple[object, ...]:
    return type(part), *((name, parameter.shape) for name, parameter in part.named_parameters())


class RecordedSteps:
    """Gradients of batches, recorded for each size of batch after a few steps and replayed from then on.

    A replayed step launches everything at once, so that a small one does not wait for the host.
    """

    def __init__(self, step: Step, trained: Sequence[nn.Parameter], record: Record) -> None:
        self.step, self.trained, self.record = step, trained, record
        self.made: dict[tuple[object, ...], int] = {}
        self.recorded: dict[tuple[object, ...], _Recorded] = {}

    def __call__(self, inputs: Inputs, targets: Tensor) -> Tensor:
        """The loss of a batch; its gradients are in the parameters."""
        tensors = {**inputs, "": targets}
        kind = tuple((name, tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items())
        self.made[kind] = self.made.get(kind, 0) + 1
        if self.made[kind] <= EAGER:
            return self.step(inputs, targets)
        if kind not in self.recorded:
            self.recorded[kind] = self._recorded(tensors)
        return self.recorded[kind].replayed(tensors, self.trained)

    def _recorded(self, tensors: Inputs) -> _Recorded:
        read = {name: tensor.clone() for name, tensor in tensors.items()}
        inputs = {name: tensor for name, tensor in read.items() if name}
        for parameter in self.trained:
            parameter.grad = None  # a recorded step writes its gradients anew and adds to none
        loss, replay = self.record(lambda: self.step(inputs, read[""]))
        return _Recorded(read, loss, [parameter.grad for parameter in self.trained], replay)


@dataclass(frozen=True)
class _Recorded:
    """A step of one size: the tensors that it reads and writes each time."""

    read: Inputs
    loss: Tensor
    gradients: Sequence[Tensor | None]
    replay: Replay

    def replayed(self, tensors: Inputs, trained: Sequence[nn.Parameter]) -> Tensor:
        for name, tensor in tensors.items():
            self.read[name].copy_(tensor, non_blocking=True)
        self.replay()
        for parameter, gradient in zip(trained, self.gradients, strict=True):
            parameter.grad = gradient
        return self.loss.clone()


def as_cuda_graph(body: Callable[[], Tensor]) -> tuple[Tensor, Replay]:
    """Record what a body launches on a card."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # the next batch is loaded by another thread
        loss = body()
    return loss, graph.replay
