"""Attentive pooling by several learned queries, whose keys are the tokens as they are: efficient probing.

Psomas et al., "Attention, Please! Revisiting Attentive Probing Through the Lens of Efficiency" (2025): each query pools
its own share of the channels of one projection, and nothing else comes between the tokens and the last linear map.
"""

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.attention import WIDTH
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample, spread_linear

QUERIES = 32
"""Learned queries, among which the channels of the projection are shared out."""


class Head(ProbeHead):
    """tokens [B, N, D] -> one vector of 32 queries with 8 channels each [B, 256] -> values [B, P, C]."""

    learning_rate = 0.003
    predicts = ("per_sample",)
    information = ("mean", "token")

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.queries = nn.Parameter(torch.randn(QUERIES, width))
        self.values = nn.Linear(width, WIDTH)
        self.last = spread_linear(WIDTH, outputs)

    def forward(self, features: Features) -> Prediction:
        return per_sample(self.last(self.pool(features)), self.outputs)

    def pool(self, features: Features) -> Tensor:
        """Returns what each query finds, one after the other, [B, 256]."""
        logits_BNQ = features.tokens @ self.queries.T / self.queries.shape[1] ** 0.5
        weights_BNQ = logits_BNQ.masked_fill(~features.mask[..., None], -torch.inf).softmax(1)
        values_BNQC = self.values(features.tokens).unflatten(2, (QUERIES, -1))
        return torch.einsum("bnq,bnqc->bqc", weights_BNQ, values_BNQC).flatten(1)
