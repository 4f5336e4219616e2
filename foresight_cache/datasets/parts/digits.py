"""Gives images of digits, read from a file that a user has, or drawn.

A file is one of MNIST's own (IDX, also gzipped), with labels in the file beside it if that is there, or an npz that
holds `x_train` and `y_train`. Nothing is ever unpickled.
"""

import gzip
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from foresight_cache.errors import DatasetError

SIDE = 28
"""Height and width of a digit's image in pixels."""
_EXPECTED = "expected MNIST's train-images-idx3-ubyte (or .gz), or an npz with x_train and y_train"
_MOST_BYTES = 1 << 30
_IMAGES, _LABELS = 0x803, 0x801
"""First four bytes, as a number, of an IDX file of unsigned bytes with three and with one axis."""

_STROKES: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = (
    (((0.5, 0.1), (0.2, 0.3), (0.2, 0.7), (0.5, 0.9), (0.8, 0.7), (0.8, 0.3), (0.5, 0.1)),),
    (((0.3, 0.3), (0.55, 0.1), (0.55, 0.9)),),
    (((0.2, 0.3), (0.5, 0.1), (0.8, 0.3), (0.2, 0.9), (0.8, 0.9)),),
    (((0.2, 0.1), (0.8, 0.1), (0.45, 0.45), (0.8, 0.65), (0.6, 0.9), (0.2, 0.85)),),
    (((0.65, 0.9), (0.65, 0.1), (0.2, 0.6), (0.85, 0.6)),),
    (((0.8, 0.1), (0.25, 0.1), (0.25, 0.45), (0.7, 0.45), (0.8, 0.7), (0.6, 0.9), (0.2, 0.85)),),
    (((0.7, 0.1), (0.25, 0.55), (0.3, 0.85), (0.7, 0.85), (0.75, 0.6), (0.3, 0.55)),),
    (((0.2, 0.1), (0.8, 0.1), (0.4, 0.9)),),
    (((0.5, 0.1), (0.25, 0.3), (0.75, 0.65), (0.5, 0.9), (0.25, 0.65), (0.75, 0.3), (0.5, 0.1)),),
    (((0.75, 0.4), (0.3, 0.45), (0.3, 0.15), (0.7, 0.15), (0.75, 0.4), (0.6, 0.9)),),
)
"""Lines of each digit from corner to corner, x to the right and y down, as shares of its side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Digits:
    """Set of images of digits, white on black."""

    images: NDArray[np.uint8]
    """Brightness [digit, 28, 28]."""
    names: tuple[str, ...]
    """Name of each: `0` to `9`, or `digit` where that is not known."""


def draw_digits(random: np.random.Generator) -> Digits:
    """Draws ten digits with a pen of random width, slant and size."""
    return Digits(images=np.stack([_draw_digit(random, digit) for digit in range(10)]), names=tuple("0123456789"))


def load_digits(path: Path) -> Digits:
    """Returns the digits of a file. Raises `DatasetError` where it is not what was expected."""
    if not path.is_file():
        raise DatasetError(f"there is no file {path}; {_EXPECTED}")
    try:
        return _from_npz(path) if zipfile.is_zipfile(path) else _from_idx(path)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path} holds no digits: {error}; {_EXPECTED}") from None


def _draw_digit(random: np.random.Generator, digit: int) -> NDArray[np.uint8]:
    scale = 8
    image = Image.new("L", (SIDE * scale, SIDE * scale))
    pen = ImageDraw.Draw(image)
    size, slant = random.uniform(18, 24), random.uniform(-0.2, 0.2)
    width = int(random.uniform(1.8, 3.2) * scale)
    for line in _STROKES[digit]:
        corners = [(SIDE / 2 + size * (x - 0.5 - slant * (y - 0.5)), SIDE / 2 + size * (y - 0.5)) for x, y in line]
        pen.line([(x * scale, y * scale) for x, y in corners], fill=255, width=width, joint="curve")
    return np.array(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.uint8)


def _from_npz(path: Path) -> Digits:
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            raise ValueError(f"it holds more than {_MOST_BYTES} bytes")
    with np.load(path, allow_pickle=False) as arrays:
        return _checked(arrays["x_train"], arrays.get("y_train"))


def _from_idx(path: Path) -> Digits:
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    known = labels.is_file() and labels != path
    return _checked(_idx(path, _IMAGES), _idx(labels, _LABELS) if known else None)


def _idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Returns the array of an IDX file: a magic number, the length of each axis, then the bytes; big endian.

    Format: yann.lecun.com/exdb/mnist.
    """
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        with gzip.open(path) as file:
            raw = file.read(_MOST_BYTES + 1)
    axes = magic & 0xFF
    if len(raw) > _MOST_BYTES or int.from_bytes(raw[:4], "big") != magic or len(raw) < 4 + 4 * axes:
        raise ValueError("it is not an IDX file of unsigned bytes")
    shape = [int.from_bytes(raw[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _checked(images: np.ndarray, labels: np.ndarray | None) -> Digits:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or not len(images):
        raise ValueError(f"its images are {images.dtype} {list(images.shape)}, expected uint8 [count, {SIDE}, {SIDE}]")
    if labels is None:
        return Digits(images=images, names=("digit",) * len(images))
    if labels.shape != (len(images),) or not np.isin(labels, range(10)).all():
        raise ValueError("its labels are not one of 0 to 9 for each image")
    return Digits(images=images, names=tuple(map(str, labels.tolist())))
