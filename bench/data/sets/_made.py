"""What the sets that are made here have in common: those of the demo and those of the study."""

from __future__ import annotations

from typing import ClassVar

from bench.data.dataset import NO_OFFICIAL, DatasetSource


class MadeSet(DatasetSource):
    """Photographs out of installed packages with our own distortions."""

    score_range: ClassVar[tuple[float, float]] = (1.0, 5.0)
    kind: ClassVar[str] = "synthetic"
    tells: ClassVar[tuple[str, ...]] = ("distortion", "originals")
    obtain: ClassVar[str] = "made from photographs inside the installed packages; nothing to get"

    def lacks_official(self) -> str:
        """It never had a split of its authors: nothing need be made to know it."""
        return f"{self.name} has {NO_OFFICIAL}."
