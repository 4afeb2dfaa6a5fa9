"""Unusual but sound pictures are read right, broken ones are refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.core.errors import BenchError, DataError
from bench.data.pixels.decode import BACKGROUND, MAX_PIXELS, decode


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def saved(tmp_path, image, name, **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def test_plain_pixels_come_back_unchanged_from_lossless_formats(tmp_path, pixels):
    for suffix in ("png", "bmp", "tif", "ppm"):
        assert np.array_equal(decode(saved(tmp_path, Image.fromarray(pixels), f"a.{suffix}"), "x"), pixels)


def test_grey_becomes_three_equal_channels(tmp_path, pixels):
    read = decode(saved(tmp_path, Image.fromarray(pixels[..., 0]), "a.png"), "x")
    assert np.array_equal(read, np.repeat(pixels[..., :1], 3, axis=2))


def test_transparent_pixels_show_the_stated_background(tmp_path, pixels):
    alpha = np.full((20, 30), 255, np.uint8)
    alpha[:10] = 0
    read = decode(saved(tmp_path, Image.fromarray(np.dstack([pixels, alpha])), "a.png"), "x")
    assert (read[:10] == BACKGROUND).all()
    assert np.array_equal(read[10:], pixels[10:])


def test_half_transparent_grey_is_blended_with_the_background(tmp_path):
    image = Image.merge("LA", [Image.new("L", (4, 4), 55), Image.new("L", (4, 4), 128)])
    assert abs(int(decode(saved(tmp_path, image, "a.png"), "x")[0, 0, 0]) - 155) <= 1


def test_a_palette_is_looked_up_also_where_one_entry_is_transparent(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    read = decode(saved(tmp_path, image, "a.png"), "x")
    assert read.tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 255, 0]]]
    read = decode(saved(tmp_path, image, "b.png", transparency=1), "x")
    assert read[0].tolist() == [[255, 0, 0], list(BACKGROUND)]


def test_16_bit_grey_keeps_its_high_byte(tmp_path):
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        assert decode(saved(tmp_path, Image.fromarray(values), name), "x")[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize("top", [200, 65535, 2**31 - 1])
def test_whole_numbers_of_32_bits_have_no_agreed_range_whatever_their_values(tmp_path, top):
    path = saved(tmp_path, Image.fromarray(np.array([[0, top]], np.int32)), "a.tif")
    with pytest.raises(DataError, match="32 bits have no agreed 8-bit range"):
        decode(path, "x")


def test_16_bit_grey_of_other_formats_keeps_its_high_byte_too(tmp_path):
    values = np.array([[0, 255, 256, 32768, 65535]] * 8, np.uint16)
    saved(tmp_path, Image.fromarray(values), "a.jp2")
    (tmp_path / "a.pgm").write_bytes(b"P5 5 8 65535\n" + values.astype(">u2").tobytes())
    for name in ("a.jp2", "a.pgm"):
        assert decode(tmp_path / name, "x")[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def png(path, width, kind, row, bits=16, **chunks):
    """A picture of one row of samples, with further chunks before its pixels."""
    head = struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in {"IHDR": head, **chunks, "IDAT": zlib.compress(b"\0" + row), "IEND": b""}.items():
        whole = name.encode() + body
        data += struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))
    path.write_bytes(data)
    return path


def test_16_bit_colour_keeps_its_high_byte(tmp_path):
    path = png(tmp_path / "a.png", 2, 2, struct.pack(">6H", 0x1234, 0xFFFF, 0, 0x00FF, 0x8000, 0xABCD))
    assert decode(path, "x").tolist() == [[[0x12, 0xFF, 0], [0, 0x80, 0xAB]]]


def test_the_transparent_value_of_16_bit_grey_shows_the_stated_background_and_its_neighbours_do_not(tmp_path):
    row = struct.pack(">4H", 0x0A00, 0x0A01, 0x0AFF, 0xFFFF)
    path = png(tmp_path / "a.png", 4, 0, row, tRNS=struct.pack(">H", 0x0A01))
    assert decode(path, "x")[0].tolist() == [[10] * 3, list(BACKGROUND), [10] * 3, [255] * 3]


@pytest.mark.parametrize(("bits", "row"), [(1, 0b01_000000), (2, 0b00_11_0000), (4, 0x0F), (8, 0x00FF)])
def test_the_transparent_grey_of_a_png_is_laid_on_the_background_whatever_its_bits(tmp_path, bits, row):
    samples = struct.pack(">H" if bits == 8 else ">B", row)
    most = struct.pack(">H", 2**bits - 1)
    path = png(tmp_path / "a.png", 2, 0, samples, bits, tRNS=most)
    assert decode(path, "x")[0].tolist() == [[0] * 3, [255] * 3]
    path = png(tmp_path / "b.png", 2, 0, samples, bits, tRNS=struct.pack(">H", 0))
    assert decode(path, "x")[0].tolist() == [list(BACKGROUND), [255] * 3]


def test_a_transparent_grey_between_black_and_white_is_told_in_the_files_own_bits(tmp_path):
    path = png(tmp_path / "a.png", 2, 0, b"\x35", 4, tRNS=struct.pack(">H", 3))
    assert decode(path, "x")[0].tolist() == [list(BACKGROUND), [85] * 3]


def test_16_bit_colour_with_a_transparent_colour_is_refused_for_its_low_bytes_are_lost(tmp_path):
    path = png(tmp_path / "a.png", 1, 2, struct.pack(">3H", 1, 2, 3), tRNS=struct.pack(">3H", 1, 2, 3))
    with pytest.raises(DataError, match="it cannot be told what is transparent"):
        decode(path, "x")


def test_16_bit_grey_whose_zero_is_white_is_turned_round(tmp_path):
    values = np.array([[0, 32768, 65535]], np.uint16)
    path = saved(tmp_path, Image.fromarray(values), "a.tif", tiffinfo={0x0106: 0})
    with Image.open(path) as image:
        assert image.tag_v2[0x0106] == 0
    assert decode(path, "x")[0, :, 0].tolist() == [255, 127, 0]


def test_cmyk_is_converted(tmp_path):
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    red, green, blue = decode(saved(tmp_path, image, "a.jpg", quality=95), "x")[8, 8].tolist()
    assert red < 10
    assert min(green, blue) > 240


def test_progressive_jpeg_equals_its_baseline_twin(tmp_path, pixels):
    image = Image.fromarray(pixels)
    baseline = decode(saved(tmp_path, image, "a.jpg", quality=90), "x")
    assert np.array_equal(decode(saved(tmp_path, image, "b.jpg", quality=90, progressive=True), "x"), baseline)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_shows_the_picture_upright(tmp_path, pixels, orientation):
    stored = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, 1),
        7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), "a.png", exif=exif)
    assert np.array_equal(decode(path, "x"), pixels)


def test_an_orientation_that_means_nothing_is_none(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112] = 77
    assert np.array_equal(decode(saved(tmp_path, Image.fromarray(pixels), "a.png", exif=exif), "x"), pixels)


def test_one_pixel_wide_and_one_pixel_alone(tmp_path):
    for size in ((1, 50), (50, 1), (1, 1)):
        assert decode(saved(tmp_path, Image.new("RGB", size, (9, 8, 7)), "a.png"), "x").shape == (*size[::-1], 3)


def test_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert decode(path, "x")[0, 0].tolist() == [250, 0, 0]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"this is no picture at all", "begins with the text 'this is no picture"),
        (b"\x00\x01\x02\x03\x80", "begins with the bytes 00 01 02"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
)
def test_a_file_that_is_no_picture_is_named_with_its_set(tmp_path, data, said):
    path = tmp_path / "img7.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError, match=said) as caught:
        decode(path, "koniq10k")
    assert str(caught.value).startswith(f"koniq10k: {path}")


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        decode(tmp_path / "img8.jpg", "live")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif", "a.webp"])
def test_a_truncated_picture_never_decodes(tmp_path, pixels, name):
    whole = saved(tmp_path, Image.fromarray(pixels), name).read_bytes()
    for kept in range(1, len(whole) - 12, max(1, len(whole) // 40)):
        (tmp_path / name).write_bytes(whole[:kept])
        with pytest.raises(DataError):
            decode(tmp_path / name, "x")


def test_a_flipped_bit_in_a_png_never_passes(tmp_path, pixels):
    whole = saved(tmp_path, Image.fromarray(pixels), "a.png").read_bytes()
    for place in range(60, len(whole) - 12, 37):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        (tmp_path / "a.png").write_bytes(damaged)
        with pytest.raises(DataError):
            decode(tmp_path / "a.png", "x")


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    assert side * side > MAX_PIXELS
    body = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match="pixels"):
        decode(tmp_path / "a.png", "x")


def test_float_pixels_have_no_agreed_range(tmp_path):
    with pytest.raises(DataError, match="8-bit"):
        decode(saved(tmp_path, Image.new("F", (4, 4)), "a.tif"), "x")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own words on damaged tags
@settings(max_examples=150)
@given(
    data=st.binary(max_size=60), kind=st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP"]), place=st.integers(0, 400)
)
def test_damaged_bytes_only_ever_give_our_own_error(tmp_path_factory, data, kind, place):
    out = io.BytesIO()
    Image.new("RGB", (9, 7), (1, 2, 3)).save(out, kind)
    whole = bytearray(out.getvalue())
    whole[place % len(whole) : place % len(whole) + len(data)] = data
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(whole)
    try:
        read = decode(path, "x")
    except BenchError:
        return
    assert read.dtype == np.uint8
