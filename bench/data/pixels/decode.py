"""One picture file to 8-bit RGB: unusual but sound pictures are read right, broken ones are a clear error.

What is not plain RGB becomes so in one stated way: EXIF orientation is applied, transparency is laid on white,
16-bit channels keep their high byte, CMYK and palettes are converted by Pillow, of an animation the first frame
counts. Nothing is ever replaced, padded or skipped: a file that does not decode in full is a `DataError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from bench.core.errors import DataError

MAX_PIXELS = 80_000_000
"""A larger picture is refused before it is decoded: the largest of the eight sets has about 25 million pixels,
and a file of a few kilobytes can claim billions. It lies below Pillow's own warning threshold."""

BACKGROUND = (255, 255, 255)
"""What lies behind transparent pixels: white, as a browser shows them."""

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP", "PPM", "JPEG2000")
"""Only plain raster formats are tried (a phone's MPO is read as its first JPEG); Pillow's EPS reader, for one,
would start Ghostscript."""

_BITS_TAG = 0x0102
"""How many bits each channel of a TIFF has; one of 32 bits and one of 16 may be of the same kind to Pillow."""
_PHOTOMETRIC_TAG = 0x0106
"""What the smallest value of a TIFF means: 0 is white, 1 is black."""
_GREY_BITS = {"L;2": 2, "L;4": 4}
"""Greys of fewer than 8 bits, which Pillow spreads over the 8 bits, as PNGs have them."""
_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset(range(5, 9))
"""The orientations in which width and height change places."""


def decode(path: Path, dataset_name: str) -> np.ndarray:
    """The picture as uint8, height × width × 3; anything wrong is a DataError that names set and file."""
    return np.array(decode_image(path, dataset_name))


def decode_image(path: Path, dataset_name: str) -> Image.Image:
    """The same as a Pillow image, for resizing without a copy to an array and back."""
    with _opened(path, dataset_name) as image:
        load(image)
        if image.format == "PNG":
            _check_png(path)
        return plain_rgb(image)


def load(image: Image.Image) -> None:
    """Load an opened picture's pixels; its transparent colour is told in the 8 bits that they come in.

    A PNG tells it in the file's own bits, which Pillow leaves as they are. Of 16-bit colour it keeps one byte only, in
    which the transparent colour cannot be told from its neighbours.
    """
    tiles = getattr(image, "tile", [])
    kind = str(tiles[0][3]) if tiles else ""
    image.load()
    clear = image.info.get("transparency")
    if kind == "RGB;16B" and clear is not None:
        raise ValueError("of 16-bit colour with a transparent colour it cannot be told what is transparent")
    if kind in _GREY_BITS and isinstance(clear, int):
        image.info["transparency"] = clear * 255 // (2 ** _GREY_BITS[kind] - 1)


def plain_rgb(image: Image.Image) -> Image.Image:
    """A loaded picture upright and in 8-bit RGB, by the rules that stand above."""
    if 32 in getattr(image, "tag_v2", {}).get(_BITS_TAG, ()):
        raise ValueError("pixels of 32 bits have no agreed 8-bit range")
    return _rgb(_upright(image))


def size_of(path: Path, dataset_name: str) -> tuple[int, int]:
    """Width and height of the upright picture, of which only the head is read."""
    with _opened(path, dataset_name) as image:
        turned = image.getexif().get(_ORIENTATION_TAG, 1) in _SIDEWAYS
        return image.size[::-1] if turned else image.size


def check_head(path: Path, dataset_name: str) -> None:
    """Read the file's head only: whether it is a picture, of a kind and size that would be decoded."""
    with _opened(path, dataset_name):
        pass


@contextmanager
def _opened(path: Path, dataset_name: str) -> Iterator[Image.Image]:
    """The opened file, of which only the head is read; whatever goes wrong with it is a DataError."""
    try:
        if path.stat().st_size == 0:
            raise _broken(dataset_name, path, "the file is empty (0 bytes)")
        with Image.open(path, formats=FORMATS) as image:
            _refuse_bomb(image.size, dataset_name, path)
            yield image
    except DataError:
        raise
    except FileNotFoundError:
        raise _broken(dataset_name, path, "there is no such file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _broken(dataset_name, path, f"it claims more than {MAX_PIXELS:,} pixels") from None
    except Image.UnidentifiedImageError:
        raise _broken(dataset_name, path, f"it is not a picture ({_looks_like(path)})") from None
    except Exception as error:  # a decoder fed with damaged bytes may fail in any way; none of them is ours
        raise _broken(dataset_name, path, f"it does not decode ({error or type(error).__name__})") from None


def _refuse_bomb(size: tuple[int, int], dataset_name: str, path: Path) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _broken(dataset_name, path, f"it claims {width}×{height} pixels; the limit is {MAX_PIXELS:,}")


def _check_png(path: Path) -> None:
    """Compare the chunks' checksums, which Pillow does not do for pixel data while decoding."""
    with Image.open(path, formats=("PNG",)) as image:
        image.verify()


def _upright(image: Image.Image) -> Image.Image:
    """The picture as its camera was held; an orientation outside 1–8 means nothing, as for every viewer."""
    turn = _ORIENTATIONS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _grey_16(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        # a mode with premultiplied alpha converts only to its straight twin first
        straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA")).convert("RGBA")
        canvas = Image.new("RGBA", straight.size, (*BACKGROUND, 255))
        return Image.alpha_composite(canvas, straight).convert("RGB")
    if image.mode in ("1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX"):
        return image.convert("RGB")
    raise ValueError(f"pixels of kind {image.mode!r} have no agreed 8-bit range")


def _grey_16(image: Image.Image) -> Image.Image:
    """16-bit grey to its high byte, as Pillow does with 16-bit colour; the one value that is transparent to white."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65_535:
        raise ValueError("its values do not fit 16 bits")
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC_TAG) == 0:
        values = 65_535 - values.astype(np.int64)
    grey = Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.paste(BACKGROUND, mask=Image.fromarray(values == clear))
    return grey


def _looks_like(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(64)
    if all(32 <= byte < 127 or byte in (9, 10, 13) for byte in head):
        return f"it begins with the text {head[:24].decode('ascii').strip()!r}"
    return f"it begins with the bytes {head[:8].hex(' ')}"


def _broken(dataset_name: str, path: Path, reason: str) -> DataError:
    said = f"{dataset_name}: {path}" if dataset_name else str(path)
    return DataError(f"{said} cannot be used: {reason}. Replace the file.")
