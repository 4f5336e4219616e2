"""Small pictures of what is predicted beside what is true: boxes, errors, edges and maps of classes."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

SIDE = 224
"""Longest side of a picture that is drawn, in pixels."""
TRUE, PREDICTED = (0, 200, 120), (255, 110, 0)
"""Colours of true and of predicted boxes."""
_LINE, _DASH = 2, 6
MOST_ERROR = 0.5
"""Error, of the range of a value, from which on an error map is as bright as it gets."""
NO_CLASS = (128, 128, 128)
"""Colour of tokens without an answer."""


def fitted(picture_HWC: np.ndarray) -> Image.Image:
    """Returns a picture, uint8, no larger than `SIDE`; a small one is enlarged by a whole number, pixel by pixel.

    >>> fitted(np.zeros((448, 300, 3), np.uint8)).size, fitted(np.zeros((32, 48, 3), np.uint8)).size
    ((150, 224), (192, 128))
    """
    image = Image.fromarray(picture_HWC)
    longest = max(image.size)
    if longest > SIDE:
        size = (max(1, round(image.width * SIDE / longest)), max(1, round(image.height * SIDE / longest)))
        return image.resize(size, Image.Resampling.LANCZOS)
    times = max(1, SIDE // longest)
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def as_array(image: Image.Image) -> np.ndarray:
    """Returns the pixels of a picture, uint8 [H, W, 3]."""
    return np.asarray(image.convert("RGB"))


def plain(picture_HWC: np.ndarray) -> np.ndarray:
    """Returns a picture, uint8 or float from 0 to 1, as it is shown: uint8, no larger than `SIDE`."""
    return as_array(fitted(as_bytes(picture_HWC)))


def as_bytes(picture_HWC: np.ndarray) -> np.ndarray:
    """Returns values from 0 to 1 as uint8; uint8 stays as it is.

    >>> as_bytes(np.array([0.0, 0.5, 2.0])).tolist()
    [0, 128, 255]
    """
    if picture_HWC.dtype == np.uint8:
        return picture_HWC
    rounded: np.ndarray = (255 * picture_HWC.clip(0, 1)).round().astype(np.uint8)
    return rounded


def with_boxes(
    picture_HWC: np.ndarray,
    true_K4: np.ndarray,
    predicted_P4: np.ndarray,
    inside: tuple[slice, slice] = (slice(None), slice(None)),
) -> np.ndarray:
    """Returns a picture with true boxes in unbroken green lines and predicted ones in broken orange lines.

    Args:
        picture_HWC: The model's input, uint8.
        true_K4: Boxes (x0, y0, x1, y1) as fractions of the input.
        predicted_P4: The same of predictions.
        inside: Rows and columns that are shown, without the border of a letterbox.
    """
    height, width = picture_HWC.shape[:2]
    shown = picture_HWC[inside]
    image = fitted(shown)
    offset = np.array([inside[1].start or 0, inside[0].start or 0] * 2)
    scale = np.array([image.width / shown.shape[1], image.height / shown.shape[0]] * 2)
    pen = ImageDraw.Draw(image)
    for boxes, colour, dash in ((true_K4, TRUE, 0), (predicted_P4, PREDICTED, _DASH)):
        for box in np.asarray(boxes, np.float64).reshape(-1, 4):
            corners = (box * [width, height, width, height] - offset) * scale
            _rectangle(pen, corners.clip(0, [*image.size, *image.size]).round().astype(int).tolist(), colour, dash)
    return as_array(image)


def _rectangle(pen: ImageDraw.ImageDraw, corners: Sequence[int], colour: tuple[int, int, int], dash: int) -> None:
    """Draws the sides of a box, in dashes of this length where it is above 0."""
    x0, y0, x1, y1 = corners
    ends = (((x0, y0), (x1, y0)), ((x1, y0), (x1, y1)), ((x1, y1), (x0, y1)), ((x0, y1), (x0, y0)))
    for (ax, ay), (bx, by) in ends:
        length = max(abs(bx - ax), abs(by - ay))
        step = dash or max(1, length)
        for start in range(0, max(1, length), 2 * step if dash else step):
            stop = min(start + step, length)
            pieces = [
                (ax + (bx - ax) * at / max(1, length), ay + (by - ay) * at / max(1, length)) for at in (start, stop)
            ]
            pen.line(pieces, fill=colour, width=_LINE)


def error_map(picture_HWC: np.ndarray, truth_HWC: np.ndarray) -> np.ndarray:
    """Returns the mean absolute error of the channels of pictures from 0 to 1, dark for 0, as it is shown.

    The scale is the same for all: brightest from `MOST_ERROR` on.
    """
    from matplotlib import colormaps

    error_HW = np.abs(picture_HWC - truth_HWC).mean(-1) / MOST_ERROR
    return plain(np.asarray(colormaps["magma"](error_HW.clip(0, 1))[..., :3]))


def edges_shown(edges_HW: np.ndarray) -> np.ndarray:
    """Returns edges, bool, as it is shown: black on white."""
    return plain(np.repeat(np.where(edges_HW, 0, 255).astype(np.uint8)[..., None], 3, axis=2))


def class_map(
    picture_HWC: np.ndarray,
    classes_RC: np.ndarray,
    inside: tuple[slice, slice] = (slice(None), slice(None)),
) -> np.ndarray:
    """Returns a picture, uint8, half covered by the colours of the classes of its tokens, int [rows, columns].

    Class 0 is the picture itself; classes below 0 are grey. Colours depend on the number of the class alone.
    """
    from matplotlib import colormaps

    palette = (255 * np.asarray(colormaps["tab20"].resampled(20)(np.arange(20)))[:, :3]).round().astype(np.uint8)
    colours = palette[(classes_RC * 7) % 20]
    colours[classes_RC < 0] = NO_CLASS
    height, width = picture_HWC.shape[:2]
    large = Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)
    ground = Image.fromarray(np.where(classes_RC == 0, 255, 0).astype(np.uint8))
    is_ground = np.asarray(ground.resize((width, height), Image.Resampling.NEAREST)) > 0
    mixed = (picture_HWC.astype(np.uint16) + np.asarray(large)) // 2
    covered = np.where(is_ground[..., None], picture_HWC, mixed).astype(np.uint8)
    return as_array(fitted(covered[inside]))
