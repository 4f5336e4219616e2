"""Pixels against Pillow, numpy and values worked out by hand."""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from foresight_cache.errors import BadSample
from foresight_cache.media.images import decode_image, image_size, resize


def picture(height: int = 40, width: int = 60, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth, so that JPEG keeps it, and different in every corner."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: Image.Image | NDArray[np.uint8], image_format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(stream, image_format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_come_back_exactly(image_format: str) -> None:
    pixels = picture()
    data = encoded(pixels, image_format)
    decoded = decode_image(data)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, pixels)
    assert image_size(data) == (40, 60)


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP"])
def test_lossy_formats_are_what_pillow_decodes(image_format: str) -> None:
    data = encoded(picture(), image_format, quality=90)
    assert np.array_equal(decode_image(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert image_size(data) == (40, 60)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stored_on_their_side_come_upright(image_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), image_format, exif=exif)
    # Pillow's own turning is the reference, of an image that is loaded before it is asked.
    stored = Image.open(io.BytesIO(data))
    stored.load()
    upright = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    assert upright.shape[:2] == ((60, 40) if orientation >= 5 else (40, 60))
    assert np.array_equal(decode_image(data), upright)
    assert image_size(data) == upright.shape[:2]


def test_grey_becomes_three_equal_channels() -> None:
    grey = picture()[:, :, 0]
    assert np.array_equal(decode_image(encoded(grey)), np.repeat(grey[:, :, None], 3, axis=2))


def test_sixteen_bits_keep_the_whole_range() -> None:
    wide = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert decode_image(encoded(Image.fromarray(wide)))[0, :, 1].tolist() == [0, 1, 128, 255]
    assert decode_image(encoded(Image.fromarray(wide), "TIFF"))[0, :, 1].tolist() == [0, 1, 128, 255]


def test_palette_gives_the_colours_of_the_palette() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert decode_image(encoded(image)).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(decode_image(encoded(image, "JPEG", quality=100)).astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("clear", [0, 514, 65535])
def test_what_is_transparent_of_sixteen_bits_shows_white(clear: int) -> None:
    """By hand: 257 steps of 16 bits are one of 8; only the value that is declared clear is white."""
    wide = np.array([[0, 257, 514, 32768, 65535]], np.uint16)
    expected = [255 if value == clear else grey for value, grey in zip(wide[0], (0, 1, 2, 128, 255), strict=True)]
    assert decode_image(encoded(Image.fromarray(wide), transparency=clear))[0, :, 0].tolist() == expected


def test_what_is_transparent_shows_white() -> None:
    image = Image.new("RGBA", (3, 1), (200, 0, 0, 0))
    image.putpixel((1, 0), (200, 0, 0, 255))
    image.putpixel((2, 0), (0, 0, 0, 51))
    assert decode_image(encoded(image)).tolist() == [[[255] * 3, [200, 0, 0], [204] * 3]]
    indexed = Image.new("P", (1, 1))
    indexed.putpalette([9, 9, 9])
    assert decode_image(encoded(indexed, transparency=0)).tolist() == [[[255, 255, 255]]]


def test_of_an_animation_the_first_picture_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(data)[0, 0].tolist() == [255, 0, 0]
    assert image_size(data) == (8, 8)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(BadSample, match="floating-point pixels, of which black and white are not known"):
        decode_image(encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"))


@pytest.mark.parametrize("read", [decode_image, image_size])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_cut_off_image_is_found_from_its_header_on(read: Callable[[bytes], object], image_format: str) -> None:
    data = encoded(picture(200, 300), image_format)
    for kept in (len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(BadSample):
            read(data[:kept])


def test_an_unusual_end_alone_is_no_damage() -> None:
    data = encoded(picture(), "JPEG")
    assert image_size(data + b"\0\0 trailing words of some camera") == (40, 60)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty; expected JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM"),
        (b"<html>404</html>", "the file is no image that can be read; expected JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "the file is no image that can be read; expected JPEG"),
    ],
)
def test_what_is_no_image_is_named_so(data: bytes, reason: str) -> None:
    for read in (decode_image, image_size):
        with pytest.raises(BadSample) as caught:
            read(data)
        assert str(caught.value).startswith(reason)


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes whose header promises a very large image."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 60_000])
@pytest.mark.parametrize("read", [decode_image, image_size])
def test_decompression_is_bounded(read: Callable[[bytes], object], side: int) -> None:
    with pytest.raises(BadSample, match=r"89478485.* decoded"):
        read(bomb(side))


def test_the_bound_can_be_set() -> None:
    data = encoded(picture())
    assert decode_image(data, max_pixels=2400).shape == (40, 60, 3)
    with pytest.raises(BadSample, match="the image has 60×40 pixels, more than the 2399 that are decoded"):
        decode_image(data, max_pixels=2399)


@given(st.data())
def test_damage_never_raises_anything_else(data: st.DataObject) -> None:
    good = encoded(picture(), data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])))
    damaged = bytearray(good)
    for position in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=20)):
        damaged[position] ^= data.draw(st.integers(1, 255))
    for read in (decode_image, image_size):
        with suppress(BadSample):
            read(bytes(damaged))


def test_resize_is_antialiased_bicubic() -> None:
    pixels = picture(448, 672)
    expected = Image.fromarray(pixels).resize((100, 50), Image.Resampling.BICUBIC)
    assert np.array_equal(resize(pixels, 50, 100), np.asarray(expected))
    # Fine stripes shrunk eightfold are grey; without antialiasing they would stay black or white.
    stripes = np.tile(np.array([0, 255], np.uint8)[None, :, None], (64, 32, 3))
    assert np.abs(resize(stripes, 8, 8)[2:6, 2:6].astype(int) - 127).max() <= 3


def test_resize_to_the_same_size_is_the_same_array() -> None:
    pixels = picture()
    assert resize(pixels, 40, 60) is pixels
