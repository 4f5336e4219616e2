"""Positions of learned things in the grid: for each a linear map of the tokens, a softmax over cells, its moments.

Expected positions under a softmax are those of Levine et al., "End-to-End Training of Deep Visuomotor Policies" (JMLR
2016); their spread is added, as it says how large a thing is.
"""

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample, spread_linear

_THINGS = 32
_HIDDEN = 128
_LEAST = 1e-6
"""Variance, as a fraction of the image squared, below which a position has no spread."""


class Head(ProbeHead):
    """tokens [B, N, D] -> values [B, P, C], from where 32 things are and how far they spread."""

    learning_rate = 3e-3
    predicts = ("per_sample",)
    information = ("place",)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.maps = nn.Linear(width, _THINGS)
        self.hidden = nn.Linear(4 * _THINGS, _HIDDEN)
        self.last = spread_linear(_HIDDEN, outputs)

    def forward(self, features: Features) -> Prediction:
        return per_sample(self.last(torch.relu(self.hidden(self.positions(features)))), self.outputs)

    def positions(self, features: Features) -> Tensor:
        """Returns mean x and y of each thing, from -1 to 1 across the image, then their deviations, [B, 4 · 32]."""
        logits = self.maps(features.tokens).masked_fill(~features.mask[..., None], -torch.inf)
        weights = logits.softmax(1)
        centres = 2 * features.cells[..., :2] - 1
        mean = torch.einsum("bnk,bnc->bkc", weights, centres)
        square = torch.einsum("bnk,bnc->bkc", weights, centres**2)
        spread = (square - mean**2).clamp(min=_LEAST).sqrt()
        return torch.cat([mean, spread], dim=-1).flatten(1)
