"""Last layers of heads, and predictions made of their values."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec, Prediction

Layer = TypeVar("Layer", bound=nn.Module)

BIAS_HALF_RANGE = 2.0
"""Half the range of initial biases: predictions start as different constants, or all would learn the same one."""


def spread_linear(width: int, outputs: OutputSpec) -> nn.Linear:
    """Makes the last layer of a head with P predictions: small weights, and biases that differ where P is not 1.

    Both are 0 where the head learns a residual.
    """
    linear = nn.Linear(width, outputs.num_predictions * outputs.channels)
    nn.init.normal_(linear.weight, std=0.01)
    half_range = BIAS_HALF_RANGE if outputs.num_predictions > 1 else 0
    nn.init.uniform_(linear.bias, -half_range, half_range)
    return zero_for_residual(linear, outputs)


def small_linear(width: int, outputs: OutputSpec, *, cells: int = 1) -> nn.Linear:
    """Makes the last layer of a head that predicts for one or several cells together: small weights, and biases of 0.

    The weights are 0 as well where the head learns a residual.
    """
    linear = nn.Linear(width, cells * outputs.channels)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    return zero_for_residual(linear, outputs)


def zero_for_residual(layer: Layer, outputs: OutputSpec) -> Layer:
    """Returns a last layer, its weights and biases set to 0 where the head learns a residual."""
    if outputs.residual:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    return layer


def per_sample(values: Tensor, outputs: OutputSpec) -> Prediction:
    """Reads values, [B, P · C] or [B, P, C], as P predictions of the whole sample, all of which exist."""
    values_BPC = values.reshape(-1, outputs.num_predictions, outputs.channels)
    mask_BP = torch.ones(values_BPC.shape[:2], dtype=torch.bool, device=values.device)
    return Prediction(values=values_BPC, mask=mask_BP)


def per_token(values_BNC: Tensor, features: Features) -> Prediction:
    """Reads values as one prediction of each token, about the token's cell."""
    return Prediction(values=values_BNC, mask=features.mask, cells=features.cells, grids=features.grids)
