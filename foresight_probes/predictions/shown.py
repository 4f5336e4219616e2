"""What a sample shows, and what is predicted of it, as arrays: frames of inputs, reconstructions, boxes, classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.geometry import shown
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_probes.predictions.kept_run import Predicted
from foresight_probes.tasks.boxes import kept_boxes
from foresight_probes.tasks.kinds.picture import drawn

Inside = tuple[slice, slice]
"""Rows and columns of an input that show the picture."""


def input_frame(cache: Cache, row: int) -> np.ndarray:
    """Returns the model's input of a sample, uint8 [H, W, 3], with its border; of a clip the frame in the middle.

    Raises `ProbeError` for a cache without pixels.
    """
    if PIXELS not in cache:
        raise ProbeError(f"{cache.path} has no pixels, so that nothing can be shown; extract them too")
    return middle_of(cache, row, PIXELS)


def middle_of(cache: Cache, row: int, name: str) -> np.ndarray:
    """Returns a dense array of a sample, uint8 [H, W, channels]; of a clip the frame in the middle."""
    point = cache[name]
    grid = point.grid_of(row)
    return middle(np.asarray(point.stored(row)).reshape(*grid, -1))


def inside(sample: Mapping[str, Any]) -> Inside:
    """Returns the rows and columns of the input of a sample that show the picture: all but a letterbox's border."""
    return shown(sample)


def reconstruction(predicted: Predicted) -> tuple[np.ndarray, np.ndarray]:
    """Returns the drawn and the true frames, [T, H, W, 3] float64 from 0 to 1, without the border of a letterbox."""
    ((picture_THWC, truth_THWC),) = drawn(predicted.prediction, [predicted.target], 3)
    return picture_THWC.clamp(0, 1).double().numpy(), truth_THWC.double().numpy() / 255


def middle(frames_THWC: np.ndarray) -> np.ndarray:
    """Returns the frame in the middle of a clip, or the only one."""
    frame: np.ndarray = frames_THWC[len(frames_THWC) // 2]
    return frame


def boxes_of(predicted: Predicted) -> tuple[np.ndarray, np.ndarray]:
    """Returns the true and the kept predicted boxes, [K, 4] float64 as fractions of the model's input."""
    truth = predicted.target.cpu()
    (boxes,) = kept_boxes(predicted.prediction, [len(truth)])
    return truth.double().numpy(), boxes.double().numpy()


def classes_of(predicted: Predicted) -> tuple[np.ndarray, np.ndarray]:
    """Returns the true and the predicted classes of the tokens of the frame in the middle, int64 [rows, columns].

    True ones are below 0 where there is no answer.
    """
    (grid,) = predicted.prediction.grids
    truth = predicted.target.cpu().numpy().reshape(grid)
    found = predicted.prediction.values[0].argmax(-1).cpu().numpy()[: grid.tokens].reshape(grid)
    return truth[grid.t // 2], found[grid.t // 2]
