"""Last layers of heads, and predictions made of their values."""

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec, Prediction

BIAS_HALF_RANGE = 2.0
"""Half the range of initial biases: predictions start as different constants, or all would learn the same one."""


def spread_linear(width: int, outputs: OutputSpec) -> nn.Linear:
    """Makes the last layer of a head with P predictions: small weights, and biases that differ where P is not 1."""
    linear = nn.Linear(width, outputs.num_predictions * outputs.channels)
    nn.init.normal_(linear.weight, std=0.01)
    half_range = BIAS_HALF_RANGE if outputs.num_predictions > 1 else 0
    nn.init.uniform_(linear.bias, -half_range, half_range)
    return linear


def small_linear(width: int, channels: int) -> nn.Linear:
    """Makes the last layer of a head that predicts from each token: small weights, and biases of 0."""
    linear = nn.Linear(width, channels)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    return linear


def per_sample(values: Tensor, outputs: OutputSpec) -> Prediction:
    """Reads values, [B, P · C] or [B, P, C], as P predictions of the whole sample, all of which exist."""
    values_BPC = values.view(-1, outputs.num_predictions, outputs.channels)
    mask_BP = torch.ones(values_BPC.shape[:2], dtype=torch.bool, device=values.device)
    return Prediction(values=values_BPC, mask=mask_BP)


def per_token(values_BNC: Tensor, features: Features) -> Prediction:
    """Reads values as one prediction of each token, about the token's cell."""
    return Prediction(values=values_BNC, mask=features.mask, cells=features.cells, grids=features.grids)
