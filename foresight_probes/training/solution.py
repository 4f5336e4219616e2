"""What solvers find for a head, whatever it is made of."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from foresight_probes.batches import Features, Prediction
from foresight_probes.heads.layers.base import SolvableHead


class Solution(Protocol):
    """One of the solutions for a run, of which validation chooses."""

    @property
    def penalty(self) -> float | None:
        """Strength of the penalty that it was found with; None where there was none."""

    @property
    def chosen(self) -> Mapping[str, Any]:
        """Values that are chosen with it, as a result tells them: `strength`, `neighbours`, …"""

    def predict(self, head: SolvableHead, inputs_BRD: Tensor, features: Features) -> Prediction:
        """Returns what a head predicts with this solution from its inputs, float64."""

    def keep(self, head: SolvableHead) -> None:
        """Makes a head predict by this solution."""
