"""Attentive pooling: one learned query decides how much each token counts, then a linear map.

It is not told where tokens lie, so what it finds is in the tokens themselves.
"""

import torch
from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.attention import WIDTH, CrossAttentionBlock
from foresight_probes.heads.pooled_linear import slots, spread_linear


class Head(nn.Module):
    """tokens [B, N, D] -> one vector [B, 256] -> values [B, P, C]."""

    learning_rate = 0.001
    predicts = ("per_sample",)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.project = nn.Linear(width, WIDTH)
        self.query = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.look = CrossAttentionBlock()
        self.linear = spread_linear(WIDTH, outputs)

    def forward(self, features: Features) -> Prediction:
        tokens = self.project(features.tokens)
        found = self.look(self.query.expand(len(tokens), -1, -1), tokens, tokens, features.mask)
        return slots(self.linear(found[:, 0]), self.outputs)
