"""Attentive pooling over a clip, with tokens that say at what time they were seen."""

import torch
from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.attention import WIDTH, CrossAttentionBlock, places, times
from foresight_probes.heads.pooled_linear import slots, spread_linear


class Head(nn.Module):
    """tokens [B, N, D] with time and place -> one vector [B, 256] -> values [B, P, C]."""

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
        tokens = self.project(features.tokens) + places(features) + times(features)
        found = self.look(self.query.expand(len(tokens), -1, -1), tokens, tokens, features.mask)
        return slots(self.linear(found[:, 0]), self.outputs)
