"""The description length of answers: how few bits they take for who knows the features, and how soon."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.interval import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class OnlineCode:
    """The online code of classes, block by block."""

    bits: Interval
    """Length of the code for each sample, in bits."""
    compression: Interval
    """Length of the uniform code over that of this one; 1 where features tell nothing."""
    samples: int
    groups: int


def online_code(bits: Sequence[float], groups: Sequence[str], classes: int, *, resamples: int = 1000) -> OnlineCode:
    """Returns the online code of samples from the bits that each of them took.

    A head that was found from the blocks before codes the next block, and the first block is coded uniformly, log2 K
    bits a sample (Voita and Titov, "Information-Theoretic Probing with Minimum Description Length", EMNLP 2020). Unlike
    accuracy it tells how much has to be seen before the answer can be read.

    Args:
        bits: -log2 of the probability that the true class was given, of each sample.
        groups: Group of each.
        classes: Number of classes K, at least 2.
        resamples: Bootstrap resamples of groups behind the intervals.

    >>> code = online_code([1.0, 1.0, 0.5, 0.0], ["a", "b", "c", "d"], classes=2)
    >>> code.bits.value, code.compression.value  # uniform: a bit for each
    (0.625, 1.6)
    """
    uniform = float(np.log2(classes))

    def statistic(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        mean_R = (counts_RS @ np.asarray(scores)[:, 0]) / counts_RS.sum(1)
        return {"bits": mean_R, "compression": uniform / np.maximum(mean_R, np.finfo(float).tiny)}

    intervals = bootstrap(np.asarray(bits, dtype=float)[:, None], groups, statistic, resamples=resamples)
    return OnlineCode(**intervals, samples=len(bits), groups=len(set(groups)))
