"""Step size and decay."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepSize:
    """How one head learns."""

    peak: float = 1.0
    """Peak step size."""
    decay: float = 0.0
    """Share of the weights that a step of full size takes away; biases stay, because the best constant answer must
    stay in reach."""
