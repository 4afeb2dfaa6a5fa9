"""Whatever a picture comes as (a path, PIL, numpy, torch), as one upright 8-bit RGB picture, or a named error."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.core.errors import DataError, UsageError
from bench.core.files import expanded
from bench.data.pixels.decode import MAX_PIXELS, decode_image, load, plain_rgb

Source = Any
"""A path, a PIL image, a numpy array [H,W,3] or [H,W] of uint8, a torch tensor [3,H,W] of uint8 or of floats in 0…1."""


def sources_of(images: Any) -> tuple[list[Source], bool]:
    """The single pictures of what a caller gave, and whether it was one alone. Batches of arrays are taken apart."""
    if isinstance(images, str | Path | Image.Image):
        return [images], True
    if _is_tensor(images) or isinstance(images, np.ndarray):
        return ([images], True) if images.ndim < 4 else (list(images), False)
    if isinstance(images, Iterable):
        return list(images), False
    return [images], True


def open_picture(source: Source) -> Image.Image:
    """The picture in RGB, decoded; anything else is a DataError or UsageError that says what is wrong."""
    if isinstance(source, str | Path):
        return decode_image(expanded(source) if isinstance(source, str) else source, "")
    if isinstance(source, Image.Image):
        return _of_pil(source)
    if _is_tensor(source):
        return _of_array(_tensor_pixels(source))
    if isinstance(source, np.ndarray):
        return _of_array(source)
    raise UsageError(
        f"A picture may be a path, a PIL image, a numpy array or a torch tensor, not a {type(source).__name__}."
    )


def name_of(source: Source, place: int = 0) -> str:
    """What a picture is called in messages."""
    if isinstance(source, str | Path):
        return str(source)
    return str(getattr(source, "filename", "") or f"picture {place + 1}")


def _of_pil(image: Image.Image) -> Image.Image:
    if 0 in image.size:
        raise DataError(f"{name_of(image)} cannot be used: it has no pixels ({image.width}×{image.height}).")
    if image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"{name_of(image)} cannot be used: it has {image.width}×{image.height} pixels; the limit is {MAX_PIXELS:,}."
        )
    try:
        load(image)
        return plain_rgb(image)
    except Exception as error:  # a decoder fed with damaged bytes may fail in any way
        raise DataError(f"{name_of(image)} cannot be used: it does not decode ({error}).") from None


def _of_array(array: np.ndarray) -> Image.Image:
    grey = array.ndim == 2
    if array.dtype != np.uint8 or not (grey or (array.ndim == 3 and array.shape[2] == 3)) or 0 in array.shape:
        raise UsageError(
            f"An array of shape {array.shape} and type {array.dtype} is no picture: numpy arrays are "
            "height × width × 3 (or height × width) of uint8, torch tensors 3 × height × width of uint8 or of floats "
            "from 0 to 1."
        )
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise DataError(f"An array of {array.shape[1]}×{array.shape[0]} pixels is over the limit of {MAX_PIXELS:,}.")
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def _tensor_pixels(tensor: Any) -> np.ndarray:
    """A tensor as an array that `_of_array` takes or refuses."""
    values = tensor.detach().cpu()
    if values.ndim == 3 and values.shape[0] in (1, 3):
        values = values.permute(1, 2, 0)
    if values.is_floating_point():
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise UsageError("A tensor of floats must lie between 0 and 1: pixels as they are, not normalised.")
        values = (values * 255).round().byte()
    array: np.ndarray = values.numpy()
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")
