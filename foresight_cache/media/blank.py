"""Pictures that show nothing, for a model that is to see the question alone."""

import hashlib
from typing import Literal, get_args

import numpy as np

from foresight_cache.geometry import Placement
from foresight_cache.media.images import BORDER, Pixels

BlankImage = Literal["none", "grey", "noise"]
"""What stands in the place of each picture: nothing else, mid grey, or noise that follows from the sample's id."""
BLANK_IMAGES: tuple[BlankImage, ...] = get_args(BlankImage)


def blanked(pixels_THWC: Pixels, kind: BlankImage, sample_id: str, placement: Placement) -> Pixels:
    """Returns pixels of a sample, uint8 [T, H, W, 3] in the model's input, with the picture in them blanked.

    `grey` is 128, as the border of a letterbox. `noise` is uniform over the 256 levels: the bytes of SHAKE128 of
    `noise <id>` (UTF-8), in the order of frame, row, column and channel of the part that shows the picture, so that
    it is the same in any batch and on any machine.

    >>> from foresight_cache.geometry import placement_for
    >>> placement = placement_for((1, 2), (2, 2), "letterbox")
    >>> blanked(np.zeros((1, 2, 2, 3), np.uint8), "noise", "a", placement)[0, :, :, 0].tolist()
    [[215, 175], [128, 128]]
    """
    if kind == "none":
        return pixels_THWC
    blank_THWC = np.full_like(pixels_THWC, BORDER)
    if kind == "noise":
        shape = (len(pixels_THWC), placement.inner_height, placement.inner_width, 3)
        noise = hashlib.shake_128(f"noise {sample_id}".encode()).digest(int(np.prod(shape)))
        rows = slice(placement.top, placement.top + placement.inner_height)
        columns = slice(placement.left, placement.left + placement.inner_width)
        blank_THWC[:, rows, columns] = np.frombuffer(noise, np.uint8).reshape(shape)
    return blank_THWC
