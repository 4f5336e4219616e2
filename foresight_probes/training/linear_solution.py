"""What a closed form finds: a linear map with the penalty that it was found at."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class LinearSolution:
    """A linear map with the strength of the penalty on its weights, None where there was none."""

    penalty: float | None
    weight: Tensor
    """[C, D] float64."""
    bias: Tensor
    """[C] float64."""
    form: str = ""
    """Name of the method where it is not what the solver is named for."""
