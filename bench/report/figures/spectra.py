"""Fourier spectra of the features block by block (LoDa Fig. 6, after Park & Kim, 2022): who keeps high frequencies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.models.attention import tapped_blocks, vit_in
from bench.records.results import Experiment
from bench.report.figures.figure import Figure
from bench.report.figures.models import (
    Kept,
    contiguous,
    kept_runs,
    kept_tests,
    lacking,
    last_walk,
    opened,
)
from bench.report.figures.scene import Drawing, Scene, Subject, title_of
from bench.report.figures.style import Legend, colour_bar, outer_labels, panels, wrapped
from bench.training.session import Session

IMAGES, BATCH = 128, 16
"""Of the test part, as many images as LoDa averages over; and how many go through a model at once."""

SEEN = {
    "same": "every method on the same crops, for the seams of GLIA's fragments would be read as high frequencies",
    "own": "each method on its own views: the seams of GLIA's fragments are in its high frequencies",
}
"""By `--views`, what the models look at and what follows from it."""

Spectra = dict[Subject, np.ndarray]
"""Of each method, the log amplitude of every block's features: [depth, grid, grid], frequency 0 in the middle."""


class FeatureSpectra(Figure):
    """Fourier spectra of the features, block by block (LoDa Fig. 6)."""

    takes_views: ClassVar[bool] = True
    needs_pictures: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True

    def topics(self, scene: Scene) -> list[Experiment]:
        """The datasets with kept weights."""
        return kept_tests(scene)

    def draw(self, scene: Scene, experiment: Experiment) -> Iterator[Drawing]:
        """Three figures: last-block spectra, amplitude by frequency and block, and the highest frequency by block."""
        runs, without = kept_runs(scene, experiment)
        spectra = _spectra_of_all(runs, scene)
        tests = [record.section("data").get("train", {}).get("n_test", IMAGES) for record in runs.values()]
        count = min(IMAGES, *map(int, tests))
        how = f"Mean over {count} test images and all channels of the patch tokens; {SEEN[scene.wish.views]}."
        more, own = [lacking(without)], ("own",) if scene.wish.views == "own" else ()
        for stem, title, figure, legend in (
            ("spectra", "Fourier spectrum of the last block's features", _pictures(spectra), None),
            ("spectra_amplitude", "Relative log amplitude of the features, block by block", _amplitudes(spectra), None),
            ("spectra_depth", "Relative log amplitude at the highest frequency", *_depths(spectra)),
        ):
            parts, title = (stem, *own, experiment.train), f"{title}, trained on {title_of(experiment)}"
            yield scene.drawing(
                parts, figure, title, list(spectra), [experiment], how=how, legend=legend, medians=False, more=more
            )


def log_amplitude(features: Tensor, grid: int) -> Tensor:
    """Log amplitude of the Fourier transform of patch tokens, [grid, grid].

    `features` [B, tokens, width]; patches come last. The result is the mean over channels, summed over images.
    """
    maps = features[:, -(grid**2) :].float().transpose(1, 2).unflatten(2, (grid, grid))
    amplitude = torch.fft.fftshift(torch.fft.fft2(maps).abs(), dim=(-2, -1))
    return (amplitude + 1e-6).log().mean(1).sum(0)


def relative(spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (in π) along the diagonal, and log amplitude there less that at frequency 0."""
    grid = spectrum.shape[-1]
    diagonal = np.diagonal(spectrum, axis1=-2, axis2=-1)[..., grid // 2 :]
    return np.arange(diagonal.shape[-1]) / (grid / 2), diagonal - diagonal[..., :1]


def feature_spectra(session: Session, views: str = "same") -> np.ndarray:
    """The spectra of one trained model on the first test images, on the views that SEEN names: [depth, grid, grid]."""
    grid = vit_in(session.model, session.spec.method).shape.grid
    maker = session.feed_of(session.spec.train).maker if views == "own" else contiguous(session)
    rows = session.split.test[:IMAGES]
    total: list[Tensor] = []
    for start in range(0, len(rows), BATCH):
        outputs = last_walk(session, maker, rows[start : start + BATCH], tapped_blocks)
        sums = [log_amplitude(given, grid) for given in outputs]
        total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
    return (torch.stack(total) / len(rows)).double().cpu().numpy().round(5)


def _spectra_of_all(runs: Kept, scene: Scene) -> Spectra:
    views = scene.wish.views
    return {subject: feature_spectra(session, views) for subject, _, session in opened(runs, scene, "spectra")}


def _pictures(by_subject: Spectra) -> Any:
    figure, every = panels(
        len(by_subject), columns=6, size=(1.6, 1.75), stretch=False, beside=1.0, sharex=True, sharey=True
    )
    last = [spectra[-1] for spectra in by_subject.values()]
    low, high = min(map(np.min, last)), max(map(np.max, last))
    shown = None
    for axes, subject, spectrum in zip(every, by_subject, last, strict=True):
        whole, edge = periodic(spectrum)
        shown = axes.imshow(whole, cmap="cividis", vmin=low, vmax=high, extent=(-edge, edge, edge, -edge))
        axes.set_xticks([-1, 0, 1], ["−π", "0", "π"])
        axes.set_yticks([-1, 0, 1], ["−π", "0", "π"])
        axes.grid(visible=False)
        axes.set_title(wrapped(subject.label, 20), fontsize=8)
    outer_labels(every, "", "")
    colour_bar(figure, shown, every, "log amplitude")
    return figure


def periodic(spectrum: np.ndarray) -> tuple[np.ndarray, float]:
    """A spectrum from −π to π, and where its outer pixels end (in π): on an even grid what stands at −π is π's too."""
    if len(spectrum) % 2:
        return spectrum, 1.0
    return np.pad(spectrum, ((0, 1), (0, 1)), mode="wrap"), 1 + 1 / len(spectrum)


def _amplitudes(by_subject: Spectra) -> Any:
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, every = panels(len(by_subject), columns=4, size=(2.4, 2.2), beside=0.8, sharex=True, sharey=True)
    depth = max(len(spectra) for spectra in by_subject.values())
    shade = ScalarMappable(Normalize(1, depth), matplotlib.colormaps["cividis"])
    for axes, (subject, spectra) in zip(every, by_subject.items(), strict=True):
        frequencies, amplitudes = relative(spectra)
        for block, values in enumerate(amplitudes, start=1):
            axes.plot(frequencies, values, color=shade.to_rgba(block), linewidth=1.1)
        axes.set_title(wrapped(subject.label, 30), fontsize=8.5)
    outer_labels(every, "frequency / π", "Δ log amplitude")
    ticks = list(range(1, depth + 1, max(1, depth // 6)))
    colour_bar(figure, shade, every, "block", ticks=ticks)
    return figure


def _depths(by_subject: Spectra) -> tuple[Any, Legend]:
    from matplotlib.lines import Line2D

    figure, (axes,) = panels(1, columns=1, size=(6.4, 3.2))
    handles = []
    for subject, spectra in by_subject.items():
        look = subject.look
        style = {"color": look.colour, "marker": look.marker, "linestyle": look.dash, "markersize": 4, "linewidth": 1.2}
        axes.plot(range(1, len(spectra) + 1), relative(spectra)[1][:, -1], **style)
        handles.append(Line2D([], [], **style))
    axes.set_xlabel("block")
    axes.set_ylabel("Δ log amplitude")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure, Legend(handles, [subject.label for subject in by_subject])
