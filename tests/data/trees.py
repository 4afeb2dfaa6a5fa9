"""Small and full trees of the sets for tests: built once, linked anew for every test that damages one."""

import os
import shutil
from pathlib import Path

from bench.core.registry import DATASETS
from bench.data.locate import load_dataset
from tests.fixtures_data import TOPS, build, real_rows

SMALL = {
    "csiq": 866,
    "tid2013": 360,
    "kadid10k": 375,
    "livec": 90,
    "koniq10k": 60,
    "spaq": 60,
    "flive": 60,
    "live": 779,
    "agiqa3k": 90,
    "pipal": 464,
    "bid": 60,
    "uhdiqa": 60,
    "aigciqa2023": 60,
}
"""How many pictures a small tree has; LIVE's files fit only whole."""


class Trees:
    """Hands out copies of small trees and makes the loaders expect their counts."""

    def __init__(self, home: Path) -> None:
        self.home, self.count = home, 0

    def fresh(self, name: str, monkeypatch, **wishes) -> Path:
        """A new tree of a set, of hard links; its loader is told the tree's own numbers."""
        key = f"{name}-{sorted(wishes.items())}"
        made = self.home / key.replace("/", "_")
        if not made.exists():
            made.mkdir()
            build(name, made, SMALL[name], **wishes)
        self.count += 1
        copy = self.home / f"copy{self.count}"
        shutil.copytree(made / TOPS[name], copy / TOPS[name], copy_function=os.link)
        rows = real_rows(name)[: SMALL[name]]
        source = DATASETS.load(name)
        monkeypatch.setattr(source, "images", len(rows))
        monkeypatch.setattr(source, "groups", len({reference for _, _, reference in rows if reference}))
        return copy / TOPS[name]


def load(name: str, path: Path, partial: bool = False, **settings):
    """The set at a path, as bench.toml would have it."""
    return load_dataset(name, {name: {"path": str(path), **settings}}, path / "cache", partial=partial)
