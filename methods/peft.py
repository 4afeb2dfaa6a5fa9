"""Any of peft's tuners by name: `peft:dora`, `peft:vera`, `peft:oft` …, each with its own options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from peft.utils import PeftType

from bench.core.errors import UsageError, suggest
from bench.core.spec import Scalar
from bench.models.method import Features, Method, Toolbox, ViewFeature
from bench.models.peft_sizes import documented_size
from bench.models.tuners import QKV, count_on_stand_in, inject, make_config, parse_config
from bench.models.vit import Vit, VitShape


@dataclass(frozen=True)
class Tuner:
    """One of peft's tuners: its kind there, the options we start from, where it acts, and how it starts."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    target: str = QKV
    identity: bool = True


MLP_OUT = r"blocks\.\d+\.mlp\.fc2"
TUNERS: dict[str, Tuner] = {
    "lora": Tuner("LORA", {"r": 8, "lora_alpha": 16}),
    "dora": Tuner("LORA", {"r": 8, "lora_alpha": 16, "use_dora": True}),
    "rslora": Tuner("LORA", {"r": 8, "lora_alpha": 16, "use_rslora": True}),
    "pissa": Tuner("LORA", {"r": 8, "lora_alpha": 8, "init_lora_weights": "pissa"}),
    "vera": Tuner("VERA", {"r": 256}),
    "boft": Tuner("BOFT", {"boft_block_size": 8, "boft_n_butterfly_factor": 1}),
    "oft": Tuner("OFT", {"r": 0, "oft_block_size": 32}),
    "ia3": Tuner("IA3", {"feedforward_modules": MLP_OUT}, target=rf"{QKV}|{MLP_OUT}"),
    "loha": Tuner("LOHA", {"r": 8, "alpha": 8}),
    "lokr": Tuner("LOKR", {"r": 8, "alpha": 8}),
    "fourierft": Tuner("FOURIERFT", {"n_frequency": 1000}, identity=False),
    "hra": Tuner("HRA", {"r": 8}),
    "randlora": Tuner("RANDLORA", {"r": 32}),
    "ln_tuning": Tuner("LN_TUNING", target=r"blocks\.\d+\.norm[12]|norm|fc_norm"),
}
"""The tuners whose sizes are pinned by tests. Every other one of peft that works on layers opens by its name."""

KNOBS = {"lora": "r", "dora": "r", "rslora": "r", "pissa": "r", "loha": "r", "hra": "r", "fourierft": "n_frequency"}
"""The options that `--budget` may turn; the sizes of the other tuners do not follow a rank."""

NOT_FOR_VITS = {
    "prompt_tuning", "multitask_prompt_tuning", "p_tuning", "prefix_tuning", "adaption_prompt", "cpt", "cartridge",
    "trainable_tokens", "xlora", "poly", "shadow",
}  # fmt: skip
"""They want a language model's embeddings, caches or task ids. Prompts for a ViT are the method `vpt`."""

SHORT_NAMES = {"alpha": "lora_alpha", "dropout": "lora_dropout"}
"""What a user may write for LoRA and its kin."""


class Peft(Method):
    """A tuner of the peft library, `peft:NAME`; `config` is its own options, as in "r=4,alpha=8"."""

    title: ClassVar[str] = "peft"
    origin: ClassVar[str] = "the peft library, any of its layer tuners"
    family: ClassVar[bool] = True

    config: str = ""
    """The tuner's own options, as in r=4,alpha=8."""
    target: str = ""
    """A pattern for the modules to adapt; empty: what the tuner is known for."""

    def starts_as_identity(self) -> bool:
        """As each tuner claims, unless an option about its start is given."""
        return "init" not in self.config and self.variant in TUNERS and self._tuner().identity

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """The tuner, injected into the ViT."""
        self.size(vit.shape)  # refuses what peft would quietly change
        inject(vit, self._config())
        return ViewFeature(vit)

    def size(self, shape: VitShape) -> int:
        """From the tuner's formula (bench/models/peft_sizes.py); others are counted on a stand-in."""
        config = self._config()
        if self.variant not in TUNERS or self.target:
            return count_on_stand_in(config, shape)
        return documented_size(config, shape)

    def budget_choices(self, shape: VitShape) -> range:
        """Ranks up to the width; frequencies up to the whole map's."""
        if self.variant not in KNOBS or self.target:
            return range(0)
        return range(1, (shape.width * shape.qkv if self.variant == "fourierft" else shape.width) + 1)

    def resized(self, choice: int) -> dict[str, Scalar]:
        """The tuner's own text with its knob at this value."""
        given = parse_config(self.config) | {KNOBS[self.variant]: choice}
        return {"config": ",".join(f"{name}={value!r}" for name, value in given.items())}

    def _tuner(self) -> Tuner:
        if self.variant in TUNERS:
            return TUNERS[self.variant]
        others = {kind.value.lower() for kind in PeftType} - NOT_FOR_VITS - {"adalora"}
        if self.variant == "adalora":
            raise UsageError("AdaLoRA changes its loss and ranks at every step, which no method here may: use lora.")
        if self.variant in NOT_FOR_VITS:
            raise UsageError(f"peft's {self.variant} works on language models only; for prompts in a ViT use vpt.")
        if self.variant in others:
            return Tuner(self.variant.upper(), identity=False)
        hint = suggest(self.variant, others | set(TUNERS))
        raise UsageError(f"Say which of peft's tuners as peft:NAME; {self.variant!r} is none. {hint}")

    def _config(self) -> Any:
        tuner = self._tuner()
        given = parse_config(self.config)
        if tuner.kind == "LORA":
            given = {SHORT_NAMES.get(name, name): value for name, value in given.items()}
        return make_config(tuner.kind, {**tuner.options, **given}, self.target or tuner.target)
