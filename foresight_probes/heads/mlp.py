"""Two layers on the mean over tokens."""

from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.pooled_linear import slots, spread_linear

HIDDEN = 512


class Head(nn.Module):
    """pooled [B, D] -> hidden [B, 512] -> values [B, P, C]."""

    learning_rate = 0.001
    predicts = ("per_sample",)
    reads = "pooled"

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.layers = nn.Sequential(nn.Linear(width, HIDDEN), nn.GELU(), spread_linear(HIDDEN, outputs))

    def forward(self, features: Features) -> Prediction:
        return slots(self.layers(features.pooled), self.outputs)
