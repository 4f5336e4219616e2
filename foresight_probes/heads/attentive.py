"""Attentive pooling: one learned query decides how much each token counts, then a linear map.

It does not see where tokens lie, so what it reads is in the tokens themselves.
"""

import torch
from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.attention import WIDTH, CrossAttentionBlock
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample, spread_linear


class Head(ProbeHead):
    """tokens [B, N, D] -> one vector [B, 256] -> values [B, P, C]."""

    learning_rate = 0.001
    predicts = ("per_sample",)
    information = ("mean", "token")

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.project = nn.Linear(width, WIDTH)
        self.query = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.look = CrossAttentionBlock()
        self.linear = spread_linear(WIDTH, outputs)

    def forward(self, features: Features) -> Prediction:
        tokens = self.project(features.tokens)
        pooled_B1D = self.look(self.query.expand(len(tokens), -1, -1), tokens, tokens, features.mask)
        return per_sample(self.linear(pooled_B1D[:, 0]), self.outputs)
