"""Four layers on the mean over tokens, narrower from one to the next."""

from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.pooled_linear import slots, spread_linear

HIDDEN = (512, 256, 128)


class Head(nn.Module):
    """pooled [B, D] -> hidden [B, 512], [B, 256], [B, 128] -> values [B, P, C]."""

    learning_rate = 0.001
    predicts = ("per_sample",)
    reads = "pooled"

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        layers: list[nn.Module] = []
        for before, after in zip((width, *HIDDEN), HIDDEN, strict=False):
            layers += [nn.Linear(before, after), nn.GELU()]
        self.layers = nn.Sequential(*layers, spread_linear(HIDDEN[-1], outputs))

    def forward(self, features: Features) -> Prediction:
        return slots(self.layers(features.pooled), self.outputs)
