"""Attentive pooling over a clip, with encodings of the time and the position of each token."""

import torch
from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.attention import WIDTH, CrossAttentionBlock, position_encoding, time_encoding
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample, spread_linear


class Head(ProbeHead):
    """tokens [B, N, D] with time and position -> one vector [B, 256] -> values [B, P, C]."""

    learning_rate = 0.001
    predicts = ("per_sample",)
    information = ("mean", "token", "place")

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.project = nn.Linear(width, WIDTH)
        self.query = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.look = CrossAttentionBlock()
        self.linear = spread_linear(WIDTH, outputs)

    def forward(self, features: Features) -> Prediction:
        tokens = self.project(features.tokens) + position_encoding(features) + time_encoding(features)
        pooled_B1D = self.look(self.query.expand(len(tokens), -1, -1), tokens, tokens, features.mask)
        return per_sample(self.linear(pooled_B1D[:, 0]), self.outputs)
