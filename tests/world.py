"""A tiny world for whole runs: a folder of small pictures whose scores can be seen in them, and a tiny random ViT."""

from pathlib import Path

import numpy as np
from PIL import Image

from bench.core.runtime import Runtime
from bench.planning.presets import DEMO
from bench.planning.protocol import MethodChoice, Request

TINY = "test_vit.r160_in1k"
RECIPE = {"epochs": 2, "batch": 8, "lr": 1e-2, "size": 32, "test_views": 2, "short_side": 0}


def make_set(folder: Path, seed: int, groups: int = 6, each: int = 4) -> Path:
    """Pictures of `groups` contents, each `each` times with more and more noise; the score falls with the noise."""
    folder.mkdir(parents=True)
    random = np.random.RandomState(seed)
    lines = ["image,score,group"]
    for group in range(groups):
        content = random.uniform(60, 200, (5, 6, 3))
        for level in range(each):
            smooth = np.kron(content, np.ones((8, 8, 1)))
            noisy = np.clip(smooth + random.normal(0, 1 + 25 * level, smooth.shape), 0, 255).astype(np.uint8)
            name = f"g{group}_{level}.png"
            Image.fromarray(noisy).save(folder / name)
            lines.append(f"{name},{5 - level + 0.01 * group},g{group}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def make_world(home: Path) -> dict[str, object]:
    """Two sets, `near` and `far`; returns the data section that names them."""
    return {
        name: {"loader": "folder", "path": str(make_set(home / name, seed)), "csv": "labels.csv", "group": "group"}
        for name, seed in (("near", 1), ("far", 2))
    }


def toml_of(data: dict[str, object]) -> str:
    """The data section as bench.toml has it."""
    return "\n".join(
        f"[data.{name}]\n" + "\n".join(f'{key} = "{value}"' for key, value in entry.items())  # type: ignore[attr-defined]
        for name, entry in data.items()
    )


def tiny_spec(method: str = "glia", split: int = 0, tests: tuple[str, ...] = ("near:test",), **changes):
    """A run of a second; `recipe` and `options` may be given."""
    options = {"grid": 2, "fragment": 16, "rank": 8, "heads": 2} if method == "glia" else {}
    options |= changes.pop("options", {})
    recipe = RECIPE | changes.pop("recipe", {})
    request = Request(DEMO, recipe=recipe, common={"backbone": TINY, "weights": "random", **changes})
    return request.spec(MethodChoice(method, options), "near", tests, split)


def tiny_runtime(home: Path, data, **changes) -> Runtime:
    """A runtime that writes below `home`."""
    settings = {"results": home / "results", "cache": home / "cache", "data": data, "device": "cpu", "threads": 1}
    return Runtime(**(settings | changes))
