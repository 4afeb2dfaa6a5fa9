"""What a figure is: it says whose runs it needs, goes through its topics, and draws each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from bench.report.figures.scene import Drawing, Scene


class Figure:
    """Base of all figures; the first line of a figure's docstring is what `bench figure --list` says of it.

    A figure goes by its class attribute `name`, or else by the name of its file. It is found in
    `bench/report/figures/`, behind an entry point of the group `bench.figures`, and in a file that `--plugin FILE`
    names. This one, saved as `seconds.py`, is drawn by `bench figure seconds --plugin seconds.py`:

        from statistics import median

        from bench.report.figures import Figure
        from bench.report.figures.style import panels


        class Seconds(Figure):
            "How long each method trains."

            protocol = "main"

            def draw(self, scene, experiment):
                subjects = scene.subjects([experiment])
                if not subjects:
                    return
                figure, (axes,) = panels(1, columns=1, size=(5, 3))
                for subject in subjects:
                    runs = scene.done(subject.arm, experiment).values()
                    seconds = median(run.section("seconds")["train"] for run in runs)
                    axes.bar(subject.label, seconds, color=subject.look.colour, hatch=subject.look.hatch)
                axes.set_ylabel("seconds of training")
                title = f"Training time on {experiment.train}"
                yield scene.drawing(("seconds", experiment.train), figure, title, subjects, [experiment], how="")
    """

    name: ClassVar[str]
    """What it goes by; without one, by the name of its file."""
    protocol: ClassVar[str] = "main"
    """The protocol whose runs it needs: `bench run -p` makes them."""
    takes_image: ClassVar[bool] = False
    """Whether a picture may be named that it looks at (`--image`)."""
    takes_views: ClassVar[bool] = False
    """Whether it may be told what the models look at (`--views`)."""
    needs_pictures: ClassVar[bool] = False
    """Whether it shows pictures of the datasets, which must be on this machine."""
    needs_weights: ClassVar[bool] = False
    """Whether it walks through trained models, whose kept weights must be on this machine."""

    def topics(self, scene: Scene) -> Iterable[Any]:
        """What it is drawn of, one by one; where one of them cannot be drawn, the others still are.

        Usually every wanted dataset that was trained on and tested on its own held-out part.
        """
        return scene.own_tests()

    def draw(self, scene: Scene, topic: Any) -> Iterator[Drawing]:
        """The drawings of one topic; none where the scene has no runs for it."""
        raise TypeError(f"{type(self).__name__} does not draw anything")
