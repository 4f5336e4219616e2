"""Decodes dense labels of pictures, checks them against their annotations, and fits them into the input."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foresight_cache.errors import BadSample
from foresight_cache.geometry import Placement
from foresight_cache.media.images import MAX_PIXELS, image_size, open_image, with_border
from foresight_cache.samples import Sample

Labels = NDArray[np.uint8]
"""Number of a class or an object for each pixel [H, W]."""


def decode_labels(data: bytes | memoryview) -> Labels:
    """Returns the dense labels uint8 [H, W] of an encoded image with one channel; a palette's numbers, not its colours.

    Raises `BadSample` as `decode_image` does, for an image with colours, and for labels above 255.
    """
    with open_image(bytes(data), MAX_PIXELS) as image:
        _check_one_channel(image)
        labels_HW = np.asarray(image)
    if labels_HW.size and (labels_HW.min() < 0 or labels_HW.max() > 255):
        raise BadSample(f"the labels reach {labels_HW.max()}, expected at most 255")
    return labels_HW.astype(np.uint8)


def labels_size(data: bytes | memoryview) -> tuple[int, int]:
    """Returns height and width of dense labels from their header.

    Raises `BadSample` as `image_size` does, and for an image with colours.
    """
    with open_image(bytes(data), MAX_PIXELS) as image:
        _check_one_channel(image)
    return image_size(data)


def check_labels(labels_HW: Labels, sample: Sample) -> None:
    """Raises `BadSample` where dense labels have a value that the sample's annotations do not describe."""
    spec = sample.annotations.get("labels")
    if spec is None:
        raise BadSample("it has dense labels, but no annotations that say how they are to be read")
    classes = spec["classes"]
    highest = classes["count"] if isinstance(classes, dict) else len(classes) - 1
    known = np.zeros(256, bool)
    known[: highest + 1] = True
    if spec["ignore"] is not None:
        known[spec["ignore"]] = True
    if not known[labels_HW].all():
        value = int(labels_HW[~known[labels_HW]][0])
        raise BadSample(
            f"its labels have the value {value}, expected at most {highest}{_remedy(labels_HW, value, spec['ignore'])}"
        )


def _remedy(labels_HW: Labels, value: int, ignore: int | None) -> str:
    """Returns what to do about a value that tools are known to leave, or an empty text."""
    if value == 255 and ignore == 0:
        return (
            "; if it means 'unlabelled' write 0 for it, and if 0 is a class, add 1 to all labels so that 255 becomes 0"
        )
    if value == 255 and ignore is None and not ((labels_HW > 0) & (labels_HW < 255)).any():
        return "; a mask of 0 and 255 alone shows one object: write 1 for 255"
    return ""


def fit_labels(labels_HW: Labels, placement: Placement, border: int) -> Labels:
    """Returns labels in the input's pixels: each the label of the original's pixel at its centre; outside, `border`."""
    size = placement.inner_width, placement.inner_height
    inner_HW = labels_HW
    if labels_HW.shape != size[::-1]:
        inner_HW = np.array(Image.fromarray(labels_HW).resize(size, Image.Resampling.NEAREST), dtype=np.uint8)
    return with_border(inner_HW, placement, border)


def _check_one_channel(image: Image.Image) -> None:
    if image.mode not in ("L", "P", "1") and not image.mode.startswith("I"):
        raise BadSample(f"the labels are an image of the kind {image.mode}, expected one channel of numbers")
