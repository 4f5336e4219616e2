"""Metrics of single test samples, from the scores of a run."""

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.results.pairs import task_of
from foresight_probes.results.result import Result
from foresight_probes.results.scores import SampleScore

_AT_ONCE = 256
"""Samples whose metrics are computed at once, each as a resample of it alone."""


def sample_metrics(result: Result, scores: tuple[SampleScore, ...]) -> dict[str, np.ndarray]:
    """Returns the task's metrics of each sample as if there were no other, [S] float64 by name.

    They are NaN where one sample does not define them, as it does not R². The mean over samples is the metric of all
    only where this is itself a mean over samples, as accuracy is and a mean over all objects is not.
    """
    arrays = [np.array(score.scores) for score in scores]
    even = len({len(array) for array in arrays}) == 1
    task, parts = task_of(result), []
    for first in range(0, len(arrays), _AT_ONCE):
        own = arrays[first : first + _AT_ONCE]
        each: Scores = np.stack(own) if even else own
        with np.errstate(all="ignore"):
            parts.append(task.resampled_metrics(each, np.eye(len(own))))
    joined = {name: np.concatenate([part[name] for part in parts]).astype(np.float64) for name in parts[0]}
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in joined.items()}
