"""Set prediction as DETR's: learned queries, one per prediction, attend to the tokens and each names one object."""

import torch
from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.attention import WIDTH, CrossAttentionBlock, position_encoding
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import BIAS_HALF_RANGE, per_sample, zero_for_residual


class Head(ProbeHead):
    """tokens [B, N, D] with positions -> queries [B, P, 256], 8 heads -> values [B, P, C]; P is 100 for detection."""

    learning_rate = 0.0005
    predicts = ("per_sample",)
    information = ("mean", "token", "place")

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.project = nn.Linear(width, WIDTH)
        self.queries = nn.Parameter(torch.randn(1, outputs.num_predictions, WIDTH))
        self.look = CrossAttentionBlock()
        last = zero_for_residual(nn.Linear(WIDTH, outputs.channels), outputs)
        self.answer = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), last)
        self.outputs = outputs
        spread = BIAS_HALF_RANGE if outputs.num_predictions > 1 and not outputs.residual else 0
        self.start = nn.Parameter(torch.empty(outputs.num_predictions * outputs.channels).uniform_(-spread, spread))

    def forward(self, features: Features) -> Prediction:
        tokens = self.project(features.tokens)
        queries = self.queries.expand(len(tokens), -1, -1)
        attended_BPD = self.look(queries, tokens + position_encoding(features), tokens, features.mask)
        values_BPC = self.answer(attended_BPD) + self.start.view(self.outputs.num_predictions, -1)
        return per_sample(values_BPC, self.outputs)
