"""Decodes images to pixels: bounded in size, upright, RGB, and never with an exception of Pillow's own.

**Upright.** A camera may store a photo lying on its side and note so in EXIF. Annotation tools show the photo
upright, so that is what boxes refer to, and every function here sees the upright image. COCO's own images carry
no such note. Annotations that were made of the unturned image have width and height swapped, and
`foresight prepare` refuses such a sample.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from foresight_cache.errors import BadSample
from foresight_cache.geometry import Placement

Pixels = NDArray[np.uint8]
"""Pixels of one picture [H, W, 3] or several [T, H, W, 3], RGB."""

MAX_PIXELS = 89_478_485
"""Largest image that is decoded, in pixels: 256 MiB as RGB, and where Pillow starts to warn of decompression bombs."""
BORDER = 128
"""Grey of the border around an image whose proportions are kept."""
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Only these are tried: Pillow's other parsers start other programs (EPS) or are for what no dataset has."""
_JPEG = b"\xff\xd8\xff"
_HEAD = 32 * 1024
"""Bytes at the start of a JPEG file that mostly hold all of its header; copying the rest would cost more."""
_TAIL = 1024
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


def decode_image(data: bytes | memoryview, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Returns the pixels of an encoded image, uint8 [H, W, 3], RGB, upright.

    Grey, palette and CMYK images become RGB; 16 bits per channel become 8; what is transparent shows white; of an
    animation the first picture is taken. Raises `BadSample` for bytes that are no image, are cut off or damaged, or
    that would be larger than `max_pixels`.
    """
    data = bytes(data)
    with open_image(data, max_pixels) as image:
        turn = _TURNS.get(_orientation(image, data))
        upright = _rgb(image)
        if turn is not None:
            upright = upright.transpose(turn)
        return np.array(upright, dtype=np.uint8)


def image_size(data: bytes | memoryview, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Returns height and width of an encoded image in pixels, upright, from its header.

    An image that does not end as its format ends is decoded, to tell a truncated one from one that is merely
    unusual. Damage between header and end is not found here. Raises `BadSample` as `decode_image` does.
    """
    head = bytes(data[:_HEAD])
    if head.startswith(_JPEG) and len(head) < len(data) and _ends_well(data, "JPEG"):
        with suppress(BadSample):  # a header that is longer, or damaged: the whole file tells
            return _header_size(head, max_pixels)[0]
    whole = bytes(data)
    size, image_format = _header_size(whole, max_pixels)
    if not _ends_well(data, image_format):
        decode_image(whole, max_pixels=max_pixels)
    return size


def _header_size(data: bytes, max_pixels: int) -> tuple[tuple[int, int], str | None]:
    """Height and width, upright, and the format."""
    with open_image(data, max_pixels) as image:
        width, height = image.size
        sideways = _orientation(image, data) in _SIDEWAYS
        return ((width, height) if sideways else (height, width)), image.format


def resize(image_HWC: Pixels, height: int, width: int) -> Pixels:
    """Resizes an image, bicubic and antialiased, from uint8 [H, W, 3] to uint8 [height, width, 3].

    An image that already has that size is returned itself, not a copy. The same input gives the same output: Pillow
    resamples in integers.

    >>> resize(np.zeros((4, 6, 3), np.uint8), 2, 3).shape
    (2, 3, 3)
    """
    if image_HWC.shape[:2] == (height, width):
        return image_HWC
    return np.array(Image.fromarray(image_HWC).resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8)


def fit_image(image_HWC: Pixels, placement: Placement) -> Pixels:
    """Resizes an image uint8 [H, W, 3] into its part of the input and adds a grey border where it does not reach.

    >>> from foresight_cache.geometry import placement_for
    >>> fit_image(np.zeros((2, 4, 3), np.uint8), placement_for((2, 4), (4, 4), "letterbox"))[:, 0, 0].tolist()
    [128, 0, 0, 128]
    """
    inner_HWC = resize(image_HWC, placement.inner_height, placement.inner_width)
    return with_border(inner_HWC, placement, BORDER)


def with_border(inner: NDArray[np.uint8], placement: Placement, value: int) -> NDArray[np.uint8]:
    """Returns a resized picture [H, W, …] in the whole input, whose other pixels have `value`."""
    if inner.shape[:2] == (placement.height, placement.width):
        return inner
    whole = np.full((placement.height, placement.width, *inner.shape[2:]), value, np.uint8)
    rows = slice(placement.top, placement.top + placement.inner_height)
    whole[rows, placement.left : placement.left + placement.inner_width] = inner
    return whole


@contextmanager
def open_image(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Opens an image and reads only its header; whatever Pillow raises inside the block becomes `BadSample`."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise BadSample(f"the image has {width}×{height} pixels, more than the {max_pixels} that are decoded")
            yield image
    except (BadSample, MemoryError):
        raise
    except UnidentifiedImageError:
        what = "no image that can be read" if data else "empty"
        raise BadSample(f"the file is {what}; expected {', '.join(_FORMATS)}") from None
    except Image.DecompressionBombError:
        raise BadSample(f"the image has far more than the {max_pixels} pixels that are decoded") from None
    except Exception as error:  # parsers of untrusted bytes raise whatever they stumble over
        raise BadSample(f"the image is damaged: {str(error) or type(error).__name__}") from None


def _orientation(image: Image.Image, data: bytes) -> int:
    """Returns EXIF's number for how the stored image lies: 1 is upright."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself, in `size` as well as in the pixels
    if image.format == "PNG" and b"eXIf" not in data and b"Raw profile type exif" not in data:
        return 1  # asking a PNG for EXIF that it does not have would decode it
    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    return orientation if isinstance(orientation, int) else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray(_clear_as_white(_eight_bits(np.asarray(image)), image)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return _over_white(image.convert("RGBA"))
    if image.mode == "F":
        raise BadSample("the image has floating-point pixels, of which black and white are not known")
    return image.convert("RGB")


def on_white(pixels_HWC: Pixels) -> Pixels:
    """Returns RGB [H, W, 3] of RGBA [H, W, 4], white where it is transparent.

    >>> on_white(np.array([[[9, 9, 9, 255], [9, 9, 9, 0]]], np.uint8)).tolist()
    [[[9, 9, 9], [255, 255, 255]]]
    """
    return np.array(_over_white(Image.fromarray(pixels_HWC)), dtype=np.uint8)


def _over_white(clear: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def _clear_as_white(grey_HW: NDArray[np.uint8], image: Image.Image) -> NDArray[np.uint8]:
    """Returns grey of 8 bits with white where the image's 16 bits are the value that it declares transparent.

    Pillow's own conversion to RGBA would clip 16 bits at 255.
    """
    clear = image.info.get("transparency")
    return grey_HW if not isinstance(clear, int) else np.where(np.asarray(image) == clear, np.uint8(255), grey_HW)


def _eight_bits(grey: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Scales 16 bits to 8, where Pillow's own conversion would clip at 255.

    >>> _eight_bits(np.array([0, 257, 65535], np.uint16)).tolist()
    [0, 1, 255]
    """
    wide = grey.astype(np.int64)
    if wide.size and (wide.min() < 0 or wide.max() > 65535):
        raise BadSample("the image has more than 16 bits per pixel channel, of which black and white are not known")
    return ((wide + 128) // 257).astype(np.uint8)


def _ends_well(data: bytes | memoryview, image_format: str | None) -> bool:
    """Returns whether the last bytes are those that end the format; False where the format does not say."""
    tail = bytes(data[-_TAIL:])
    if image_format == "JPEG":
        return tail.rstrip(b"\0").endswith(b"\xff\xd9")
    if image_format == "PNG":
        return tail.endswith(b"IEND\xae\x42\x60\x82")
    if image_format == "WEBP":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return False
