"""Multi-layer perceptrons on the mean over tokens."""

from typing import ClassVar

from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample, spread_linear


class MLP(ProbeHead):
    """A perceptron on the mean over tokens, hidden layer of 512. Shapes: pooled [B, D] -> values [B, P, C]."""

    learning_rate = 0.001
    predicts = ("per_sample",)
    reads = "pooled"
    information = ("mean",)
    hidden: ClassVar[tuple[int, ...]] = (512,)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        layers: list[nn.Module] = []
        for before, after in zip((width, *self.hidden), self.hidden, strict=False):
            layers += [nn.Linear(before, after), nn.GELU()]
        self.layers = nn.Sequential(*layers, spread_linear(self.hidden[-1], outputs))

    def forward(self, features: Features) -> Prediction:
        return per_sample(self.layers(features.pooled), self.outputs)


class MLP512x256x128(MLP):
    """A perceptron on the mean over tokens, hidden layers of 512, 256 and 128. Shapes as of `MLP`."""

    hidden = (512, 256, 128)


HEADS = {"mlp": MLP, "mlp-512-256-128": MLP512x256x128}
