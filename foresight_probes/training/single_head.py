"""A head that is no column of a matrix: it learns by itself, with an optimiser of its own."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, Prediction
from foresight_probes.training.rates import StepSize

LARGE = 2_000_000
"""Parameters from which on threads inside of torch's operations pay, and not beside each other."""


class SingleHead:
    """A head and its AdamW."""

    def __init__(self, head: nn.Module, rates: StepSize) -> None:
        """On the device where the head will stay."""
        self._head, self._rates = head, rates
        parameters = list(head.parameters())
        self.large = sum(parameter.numel() for parameter in parameters) >= LARGE
        self._decaying = [parameter.data for parameter in parameters if parameter.ndim > 1]
        self._optimiser = torch.optim.Adam(parameters, fused=parameters[0].device.type in ("cpu", "cuda"))

    def learn(self, features: Features, loss: Callable[[Prediction], Tensor], factor: float) -> float | None:
        """One step, its size this share of the peak.

        Returns None, or, where what the head says or its loss is not finite, such a number; then there is no step.
        """
        prediction = self._head(features)
        found = first_nonfinite(prediction.values)
        if found is None:
            value = loss(prediction)
            found = first_nonfinite(value)
        if found is not None:
            return found
        self._optimiser.zero_grad()
        torch.autograd.backward(value)
        torch._foreach_mul_(self._decaying, 1 - factor * self._rates.decay)
        for group in self._optimiser.param_groups:
            group["lr"] = factor * self._rates.peak
        self._optimiser.step()
        return None


def first_nonfinite(values: Tensor) -> float | None:
    """The first of some numbers that is not finite; None where all are.

    >>> first_nonfinite(torch.tensor([1.0, -torch.inf, torch.nan]))
    -inf
    """
    finite = values.detach().isfinite()
    return None if finite.all() else float(values.detach()[~finite].flatten()[0])
