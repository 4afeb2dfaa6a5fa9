"""Two full-reference metrics, written from their papers, and a label made of their ranks: a measure, not an opinion.

MS-SSIM: Wang, Simoncelli and Bovik, Multiscale structural similarity, Asilomar 2003; here the mean over red, green and
blue, for on the luma that they use a change of colour alone would be none. GMSD: Xue, Zhang, Mou and Bovik, Gradient
magnitude similarity deviation, IEEE TIP 2014, on the luma as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.core.errors import DataError
from bench.core.progress import Report, silent
from bench.data.pixels.decode import decode

Plane = NDArray[np.float64]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales of MS-SSIM, the finest first."""
_SIDE, _SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
GMSD_C = 170.0
LUMA = (0.299, 0.587, 0.114)


def ms_ssim(reference: NDArray[np.uint8], distorted: NDArray[np.uint8]) -> float:
    """Multi-scale structural similarity of two pictures; 1 for equal ones."""
    _same_shape(reference, distorted)
    if min(reference.shape[:2]) < _SIDE * 2 ** (len(WEIGHTS) - 1):
        raise DataError(f"MS-SSIM takes pictures of at least {_SIDE * 2 ** (len(WEIGHTS) - 1)} pixels a side")
    planes = [np.moveaxis(picture.astype(np.float64), -1, 0) for picture in (reference, distorted)]
    return float(np.mean([_ms_ssim_plane(one, other) for one, other in zip(*planes, strict=True)]))


def gmsd(reference: NDArray[np.uint8], distorted: NDArray[np.uint8]) -> float:
    """Gradient magnitude similarity deviation of two pictures; 0 for equal ones, more is worse."""
    _same_shape(reference, distorted)
    one, other = (_gradient(_halved(picture @ np.array(LUMA))) for picture in (reference, distorted))
    similarity = (2 * one * other + GMSD_C) / (one**2 + other**2 + GMSD_C)
    return float(similarity.std())


def ranked_quality(root: Path, names: Sequence[str], progress: Report = silent) -> list[float]:
    """A label from 1 (worst) to 5 for each picture, against the reference that its name names ("I01_04_03" to "I01").

    The mean of its ranks by MS-SSIM and by GMSD among all pictures, for their scales have nothing in common. Values are
    rounded before they are ranked, so that another machine's last digit changes no label.
    """
    pairs = []
    references: dict[str, NDArray[np.uint8]] = {}
    for done, name in enumerate(names):
        progress(done, len(names), "comparing pictures with their references")
        path = root / name
        reference = f"{path.stem.partition('_')[0]}{path.suffix}"
        if reference not in references:
            references = {reference: decode(path.with_name(reference), "references")}
        distorted = decode(path, "pictures")
        pairs.append((ms_ssim(references[reference], distorted), -gmsd(references[reference], distorted)))
    ranks = np.mean([rankdata(np.round(values, 6)) for values in np.array(pairs).T], axis=0)
    return [round(float(value), 6) for value in 1 + 4 * (ranks - 1) / (len(names) - 1)]


def _same_shape(reference: NDArray[np.uint8], distorted: NDArray[np.uint8]) -> None:
    if reference.shape != distorted.shape or reference.ndim != 3 or reference.shape[2] != len(LUMA):
        raise DataError(f"a picture of {distorted.shape} cannot be compared with a reference of {reference.shape}")


def _ms_ssim_plane(one: Plane, other: Plane) -> float:
    """The weighted product over scales: contrast and structure at each, luminance at the coarsest only."""
    value = 1.0
    for scale, weight in enumerate(WEIGHTS):
        luminance, structure = _ssim_terms(one, other)
        last = scale == len(WEIGHTS) - 1
        mean = float(np.mean(luminance * structure if last else structure))
        value *= max(mean, 0.0) ** weight  # a negative correlation has no root
        one, other = _halved(one), _halved(other)
    return value


def _ssim_terms(one: Plane, other: Plane) -> tuple[Plane, Plane]:
    """The luminance term and the product of contrast and structure, at every place where the window fits."""
    mean_one, mean_other = _windowed(one), _windowed(other)
    var_one = _windowed(one * one) - mean_one**2
    var_other = _windowed(other * other) - mean_other**2
    covariance = _windowed(one * other) - mean_one * mean_other
    luminance = (2 * mean_one * mean_other + C1) / (mean_one**2 + mean_other**2 + C1)
    return luminance, (2 * covariance + C2) / (var_one + var_other + C2)


def _windowed(plane: Plane) -> Plane:
    """The mean under a Gaussian window of 11 by 11."""
    from scipy.ndimage import correlate1d

    offsets = np.arange(_SIDE) - _SIDE // 2
    window = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    window /= window.sum()
    for axis in (0, 1):
        plane = correlate1d(plane, window, axis=axis)
    edge = _SIDE // 2
    return np.asarray(plane[edge:-edge, edge:-edge])


def _halved(plane: Plane) -> Plane:
    """Means of two by two pixels."""
    height, width = (side // 2 * 2 for side in plane.shape)
    even = plane[:height, :width]
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)


def _gradient(plane: Plane) -> Plane:
    """The gradient's magnitude by Prewitt's filter."""
    from scipy.ndimage import prewitt

    return np.asarray(np.hypot(prewitt(plane, axis=0), prewitt(plane, axis=1)) / 3)
