"""One linear map on the mean over tokens."""

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec, Prediction

SPREAD = 2.0
"""Half the range of initial biases: slots start as different constants, or all would learn the same one."""


class Head(nn.Module):
    """pooled [B, D] -> values [B, P, C]."""

    learning_rate = 0.01
    predicts = ("per_sample",)
    reads = "pooled"

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.linear = spread_linear(width, outputs)

    def forward(self, features: Features) -> Prediction:
        return self.shape(self.linear(features.pooled), features)

    def shape(self, flat: Tensor, features: Features) -> Prediction:  # noqa: ARG002 - places do not matter here
        """What the result of `linear` means."""
        return slots(flat, self.outputs)


def spread_linear(width: int, outputs: OutputSpec) -> nn.Linear:
    """The last layer of a head with slots: small weights, and biases that differ between several slots."""
    linear = nn.Linear(width, outputs.slots * outputs.channels)
    nn.init.normal_(linear.weight, std=0.01)
    spread = SPREAD if outputs.slots > 1 else 0
    nn.init.uniform_(linear.bias, -spread, spread)
    return linear


def slots(flat: Tensor, outputs: OutputSpec) -> Prediction:
    """flat [B, P * C] as P predictions, all of which exist."""
    values = flat.view(-1, outputs.slots, outputs.channels)
    return Prediction(values=values, mask=torch.ones(values.shape[:2], dtype=torch.bool, device=flat.device))
