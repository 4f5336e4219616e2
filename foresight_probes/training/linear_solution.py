"""What a closed form finds: a linear map with the penalty that it was found at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from foresight_probes.batches import Features, Prediction
from foresight_probes.heads.layers.base import LinearHead, SolvableHead


@dataclass(frozen=True, slots=True)
class LinearSolution:
    """A linear map with the strength of the penalty on its weights, None where there was none; a `Solution`."""

    penalty: float | None
    weight: Tensor
    """[C, D] float64."""
    bias: Tensor
    """[C] float64."""
    form: str = ""
    """Name of the method where it is not what the solver is named for."""

    @property
    def chosen(self) -> Mapping[str, Any]:
        strength = {} if self.penalty is None else {"strength": self.penalty}
        return {**strength, **({"form": self.form} if self.form else {})}

    def predict(self, head: SolvableHead, inputs_BRD: Tensor, features: Features) -> Prediction:
        return head.as_prediction((inputs_BRD @ self.weight.T + self.bias).float(), features)

    def keep(self, head: SolvableHead) -> None:
        linear = cast(LinearHead, head).linear
        with torch.no_grad():
            linear.weight.copy_(self.weight)
            linear.bias.copy_(self.bias)
