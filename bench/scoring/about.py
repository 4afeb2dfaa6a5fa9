"""What a trained model says of itself wherever it goes: the JSON in a model file's header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.core.spec import RunSpec
from bench.data.synthesis.human_cells import NO_OPINIONS
from bench.planning.presets import made_sets
from bench.scoring.scale import Scale

FORMAT = 1
"""Version of the header."""

LICENCES = {
    "vit_small_patch14_dinov2": "The backbone's weights, DINOv2 ViT-S/14, are under Apache-2.0.",
    "tf_efficientnet_lite0": "The CNN's weights, EfficientNet-Lite0, are under Apache-2.0.",
}
OTHER_LICENCE = (
    "The network {name} has a licence of its own, which timm's page of it names: it holds for all of its weights, "
    "trained further or not, that are in a file which you pass on."
)
FILE_LICENCE = "The weights of {name} came from the {source}, whose licence is not known here."
DATA_LICENCE = "The data set {name} has terms of its own, which may forbid some uses of a model trained on it."


@dataclass(frozen=True)
class About:
    """A trained model: the run that made it, what it must stand on, what it was measured to do."""

    spec: RunSpec
    weights: str
    """Names and hashes of the frozen networks it stands on (bench.training.session.Networks.weights_hash)."""
    code: str
    numerics: int
    scale: Scale | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    normalisation: tuple[Any, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    licences: tuple[str, ...] = ()
    unscaled: str = ""
    """Why no scale could be learned, where that was tried with the training pictures at hand."""

    @property
    def key(self) -> str:
        """The run's name."""
        return self.spec.key

    @property
    def title(self) -> str:
        """The model in a few words."""
        return f"{self.spec.method} on {self.spec.train}, split {self.spec.split} (run {self.key})"

    @property
    def cautions(self) -> tuple[str, ...]:
        """What whoever reads its scores must know."""
        said = []
        noted = set(self.data.get("notes") or ())
        made = [
            name
            for name in self.spec.trained_on
            if name in made_sets() or noted & {NO_OPINIONS, f"{name}: {NO_OPINIONS}"}
        ]
        if made:
            said.append(
                f"This model learned from the made labels of {' and '.join(made)} (no opinions on these pictures): its "
                "scores show the machinery, not the quality of photographs."
            )
        if self.spec.weights == "random":
            said.append("This model stands on random weights: its scores are a test of the machinery and mean nothing.")
        if self.spec.limit:
            said.append(f"This model is of a smoke run: it saw only {self.spec.limit} pictures of its set.")
        return tuple(said)

    @property
    def why_raw(self) -> str:
        """Why its scores are on no scale where they are not, and what brings them to one."""
        sets = self.spec.trained_on
        if self.unscaled:
            return self.unscaled
        if len(sets) == 1:
            return "its scale is not known: docs/predict.md"
        choices = " or ".join(f"--scale {name}" for name in sets)
        return f"it learned {' and '.join(sets)}, which have no scale in common: {choices} brings them to one"

    def with_scale(self, scale: Scale) -> About:
        """The same with a scale."""
        return replace(self, scale=scale)

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        plain = {name: getattr(self, name) for name in ("weights", "code", "numerics")}
        plain |= {name: dict(getattr(self, name)) for name in ("data", "metrics", "views", "versions")}
        plain |= {"normalisation": [list(one) for one in self.normalisation], "licences": list(self.licences)}
        scale = self.scale.to_json() if self.scale is not None else None
        return {"format": FORMAT, "spec": self.spec.as_dict(), "scale": scale, **plain}

    @staticmethod
    def from_json(text: str) -> About:
        """Read back; a UsageError, KeyError, TypeError or ValueError where it is none."""
        plain = json.loads(text)
        if plain.pop("format") != FORMAT:
            raise ValueError("of another format")
        scale = plain.pop("scale")
        lists: dict[str, Any] = {name: tuple(plain.pop(name)) for name in ("normalisation", "licences")}
        spec = RunSpec.from_dict(plain.pop("spec"))
        return About(spec=spec, scale=None if scale is None else Scale.from_json(scale), **lists, **plain)


def licences_of(spec: RunSpec, sources: Mapping[str, str]) -> tuple[str, ...]:
    """What is known of the licences of all that a model stands on; `sources`: where each network's weights came from
    (bench.models.weights.load.LoadedWeights)."""
    networks = [_licence_of(name, source) for name, source in sources.items() if source != "random"]
    sets = [DATA_LICENCE.format(name=name) for name in spec.trained_on if name not in made_sets()]
    return (*networks, *sets)


def _licence_of(name: str, source: str) -> str:
    if source.startswith("file "):
        return FILE_LICENCE.format(name=name, source=source)
    return LICENCES.get(name, OTHER_LICENCE.format(name=name))
