"""Step sizes: the peak of each head, and its course over the steps of a training."""

import math
from dataclasses import dataclass

WARM_UP = 0.1
"""Share of the steps in which the step size rises."""


@dataclass(frozen=True, slots=True)
class StepSize:
    """The peak step size of a head and the decay of its weights."""

    peak: float = 1.0
    decay: float = 0.0
    """Share of the weights that a step of full size removes; biases do not decay, so that the best constant answer
    stays in reach."""


def warmup_cosine(step: int, steps: int) -> float:
    """Returns the factor of the peak step size at a step: a linear rise, then half a cosine down to zero.

    >>> [round(warmup_cosine(step, 100), 3) for step in (0, 4, 9, 10, 55, 100)]
    [0.1, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * min(1, (step - rise) / max(1, steps - rise)))) / 2
