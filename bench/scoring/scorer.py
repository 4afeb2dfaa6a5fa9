"""A trained model that scores pictures: the same number to the last digit whatever the batch, the order, the others.

A picture's test views are drawn by its pixels, and all of them, and nothing else, go through the network at once: how a
matrix product rounds depends on how many rows it has, so no picture ever shares one with another.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.core.errors import RunError, UsageError
from bench.data.views.single import is_constant, views_of
from bench.data.views.view import View
from bench.models.attention import vit_in
from bench.models.whole import views_in_test
from bench.scoring.about import About
from bench.scoring.pictures import open_picture, sources_of
from bench.training.session import Networks

if TYPE_CHECKING:
    from bench.scoring.explain import Explanation

Cut = Mapping[str, np.ndarray]
"""The views of one picture by name, uint8 [count, size, size, 3]; of one that is always the same, a single one."""


class Scorer:
    """A trained model, ready. `scorer(images)` gives scores on the training set's scale, `scorer.raw(images)` raw ones.

    Images are paths, PIL images, numpy arrays (height × width × 3 of uint8), torch tensors (3 × height × width), or a
    list or batch of these. A picture that cannot be used is a DataError that names it.
    """

    def __init__(self, about: About, networks: Networks) -> None:
        self.about, self.networks = about, networks
        self.model, self.device = networks.model.eval(), networks.device
        recipe, features = about.spec.recipe, self.model.features
        if networks.method.stands_on == "runs":
            raise UsageError(
                f"{about.spec.method} makes its scores of those of other runs and looks at no picture: name these, as "
                "in --run A,B, for their mean."
            )
        if features.knows:
            raise UsageError(
                f"{about.spec.method} is told the {' and the '.join(features.knows)} of each picture: it can score the "
                "pictures of a set that knows these, and no others."
            )
        known = views_in_test(networks.method, recipe, about.spec.backbone)
        used = (*features.pictures, *(frozen.view for frozen in features.frozen.values()))
        self.views: dict[str, View] = {name: known[name] for name in dict.fromkeys(used)}
        self.count = 1 if all(map(is_constant, self.views.values())) else recipe.test_views
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in networks.normalisation())
        self._scale, self._shift = (t.float().view(3, 1, 1).to(self.device) for t in (1 / (255 * std), -mean / std))

    def __repr__(self) -> str:
        return f"<Scorer: {self.about.title}>"

    @property
    def scale(self) -> Any:
        """The scale of its scores (bench.scoring.scale.Scale); None where only raw numbers are known."""
        return self.about.scale

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is a better picture; a raw number always says so."""
        return self.scale is None or bool(self.scale.higher_is_better)

    def __call__(self, images: Any) -> np.ndarray:
        """The score of every picture, float64: on the training set's own scale where it is known, else raw."""
        return self.on_scale(self.raw(images))

    def on_scale(self, raw: np.ndarray) -> np.ndarray:
        """Raw numbers as scores."""
        return raw if self.scale is None else np.asarray(self.scale(raw), dtype=np.float64)

    def raw(self, images: Any) -> np.ndarray:
        """What the network says of every picture, float64; higher is better."""
        sources, _ = sources_of(images)
        values = (self.raw_of(self.cut(open_picture(source))) for source in sources)
        return np.array([self.raw_number(value) for value in values], dtype=np.float64)

    def explain(self, image: Any) -> Explanation:
        """Where the model looked: attention of the last block, rollout, and which fragments it took."""
        from bench.scoring.explain import explain

        with self._alone():
            return explain(self, open_picture(image))

    def refuse_unexplained(self) -> None:
        """A UsageError for a model that nobody can look into, before there is a picture."""
        vit_in(self.model, self.about.spec.method)

    def cut(self, picture: Image.Image) -> Cut:
        """The views of a decoded picture; safe to call from any thread."""
        recipe = self.about.spec.recipe
        counts = {name: shape[0] for name, shape in self.shapes().items()}
        return {name: views_of(picture, view, recipe, counts[name]) for name, view in self.views.items()}

    def shapes(self) -> dict[str, tuple[int, int, int, int]]:
        """The shape of every cut view, by name; of a whole picture only as an example."""
        counts = {name: 1 if is_constant(view) else self.count for name, view in self.views.items()}
        return {name: (counts[name], view.size, view.size, 3) for name, view in self.views.items()}

    @torch.inference_mode()
    def raw_of(self, cut: Cut) -> Tensor:
        """The mean raw number over a picture's views, float64 on the device, which is not waited for."""
        with self._alone(), self.networks.autocast():
            scores: Tensor = self.model(self.inputs(self.seen(cut)))
        return scores.double().mean()

    def seen(self, cut: Cut) -> dict[str, Tensor]:
        """Views as the network sees them: normalised float32 [count, 3, size, size] on the device."""
        return {name: self.pictures(name, torch.from_numpy(views)) for name, views in cut.items()}

    def pictures(self, name: str, views: Tensor) -> Tensor:
        """The bytes [count, size, size, 3] of a view as the network sees them."""
        if self.device.type == "cuda" and views.device.type == "cpu":
            views = views.pin_memory().to(self.device, non_blocking=True)
        plain = views.permute(0, 3, 1, 2).float().contiguous()
        return plain if self.views[name].plain else plain.mul_(self._scale).add_(self._shift)

    def inputs(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Everything the model reads; what is the same for all views is computed once."""
        features = self.model.features
        tensors = {name: self._for_all(seen[name]) for name in features.pictures}
        for name, frozen in features.frozen.items():
            value = frozen.compute(seen[frozen.view]).float()
            rounded = frozen.keep and not frozen.exact  # as tests have it
            tensors[name] = self._for_all(value.half().float() if rounded else value)
        return tensors

    def _alone(self) -> AbstractContextManager[object]:
        """Out of whatever precision the caller computes in: a score does not depend on who asks for it."""
        return torch.autocast(self.device.type, enabled=False)

    def _for_all(self, values: Tensor) -> Tensor:
        return values if len(values) == self.count else values.expand(self.count, *values.shape[1:])

    def raw_number(self, value: Tensor) -> float:
        """A raw number brought from the device; one that is none is an error."""
        number = float(value)
        if not np.isfinite(number):
            raise RunError(f"{self.about.title} gives {number}: its weights are of no use.")
        return number
