"""Boxes and labels follow the pixels: judged by where a drawn object is found after the real resize."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foresight_cache.geometry import Fit, input_fractions, input_placement, placement_for
from foresight_cache.media.images import BORDER, fit_image
from foresight_cache.media.labels import fit_labels
from foresight_cache.samples import Grid

SIZES = {
    "square": ((480, 640), (448, 448)),
    "portrait": ((640, 427), (448, 448)),
    "wide": ((333, 1000), (448, 672)),
    "native": ((375, 500), (364, 504)),
    "odd": ((201, 333), (308, 252)),
    "enlarged": ((61, 97), (448, 448)),
    "same": ((448, 448), (448, 448)),
}
BOXES = ((0.1, 0.2, 0.55, 0.9), (0.4, 0.05, 0.98, 0.5), (0.0, 0.0, 0.4, 1.0))
"""Objects as fractions of the original: x0, y0, x1, y1."""


def drawn(original: tuple[int, int], fractions: tuple[float, ...]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A white object on black, uint8 [H, W, 3], and its box in whole pixels."""
    height, width = original
    box = np.round(np.array(fractions) * [width, height, width, height]).astype(int)
    image = np.zeros((*original, 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return image, box.astype(float)


def found(image: NDArray[np.uint8], inner: tuple[slice, slice]) -> NDArray[np.float64]:
    """The box of the white object within the resized original, to a fraction of a pixel.

    An edge lies where the profile through the object crosses half of white; the profile runs through the object's
    middle row and column, and stands still at the border of the original.
    """
    light = image[inner][..., 0].astype(float)
    edges = []
    for profile in (light.max(axis=0), light.max(axis=1)):
        inside = profile >= 127.5
        first, last = int(np.argmax(inside)), len(inside) - 1 - int(np.argmax(inside[::-1]))
        start = first + 0.5 - (profile[first] - 127.5) / (profile[first] - profile[first - 1]) if first else 0.0
        end = len(inside)
        if last + 1 < len(inside):
            end = last + 0.5 + (profile[last] - 127.5) / (profile[last] - profile[last + 1])
        edges.append((start, end))
    (x0, x1), (y0, y1) = edges
    return np.array([x0 + inner[1].start, y0 + inner[0].start, x1 + inner[1].start, y1 + inner[0].start])


def iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    corner = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = corner.clip(0).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def inner_of(original: tuple[int, int], size: tuple[int, int], fit: Fit) -> tuple[slice, slice]:
    """Where the original lies, by its colour: nothing of a grey original is drawn as the border is."""
    pixels = fit_image(np.full((*original, 3), 10, np.uint8), placement_for(original, size, fit))[..., 0]
    rows, columns = np.flatnonzero((pixels == 10).any(1)), np.flatnonzero((pixels == 10).any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize("name", SIZES)
def test_boxes_lie_where_the_object_lies(name: str, fit: Fit) -> None:
    original, size = SIZES[name]
    placement, inner = placement_for(original, size, fit), inner_of(original, size, fit)
    for fractions in BOXES:
        image, box = drawn(original, fractions)
        measured = found(fit_image(image, placement), inner)
        assert iou(placement.boxes(box), measured) > 0.99, (placement.boxes(box), measured)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize("name", SIZES)
def test_labels_lie_where_the_object_lies(name: str, fit: Fit) -> None:
    original, size = SIZES[name]
    placement = placement_for(original, size, fit)
    for fractions in BOXES:
        image, box = drawn(original, fractions)
        labels = fit_labels(image[..., 0] // 255 * 7, placement, border=3)
        rows, columns = np.flatnonzero((labels == 7).any(1)), np.flatnonzero((labels == 7).any(0))
        tightest = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert np.abs(tightest - placement.boxes(box)).max() <= 0.5 + 1e-9, "pixels whose centre is in the object"
        assert set(np.unique(labels)) <= {0, 3, 7}
        assert (labels == 3).any() == (fit == "letterbox" and inner_of(original, size, fit) != _whole(size))


def _whole(size: tuple[int, int]) -> tuple[slice, slice]:
    return slice(0, size[0]), slice(0, size[1])


def test_letterbox_keeps_the_proportions() -> None:
    pixels = fit_image(np.zeros((100, 200, 3), np.uint8), placement_for((100, 200), (448, 448), "letterbox"))
    assert pixels.shape == (448, 448, 3)
    assert (pixels[:112] == BORDER).all()
    assert (pixels[112:336] == 0).all()
    assert (pixels[336:] == BORDER).all()
    turned = fit_image(np.zeros((200, 100, 3), np.uint8), placement_for((200, 100), (448, 448), "letterbox"))
    assert np.array_equal(turned, pixels.transpose(1, 0, 2)), "centred in both directions"


def test_stretch_is_the_plain_resize() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    expected = Image.fromarray(image).resize((112, 84), Image.Resampling.BICUBIC)
    assert np.array_equal(fit_image(image, placement_for((50, 70), (84, 112), "stretch")), np.asarray(expected))


def test_a_very_thin_original_keeps_a_pixel() -> None:
    placement = placement_for((1, 5000), (448, 448), "letterbox")
    assert (placement.inner_height, placement.inner_width) == (1, 448)


def test_fractions_of_rows() -> None:
    row = {"height": 100, "width": 200, "grid_pixel": Grid(1, 448, 448)}
    box = np.array([[50, 0, 100, 100]])
    assert input_fractions(box, row).tolist() == [[0.25, 0, 0.5, 1]]
    assert input_fractions(box, {**row, "fit": "stretch"}).tolist() == [[0.25, 0, 0.5, 1]]
    assert input_fractions(box, {**row, "fit": "letterbox"}).tolist() == [[0.25, 0.25, 0.5, 0.75]]
    assert input_placement({**row, "fit": "letterbox"}).points(np.array([200, 100])).tolist() == [448, 336]
