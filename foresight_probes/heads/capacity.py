"""Perceptrons that differ in their number of parameters alone, for studies of how much a head's capacity matters."""

from typing import ClassVar

from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample, per_token, small_linear, spread_linear

DEPTH = 2
"""Hidden layers that follow the first."""


class CapacityMLP(ProbeHead):
    """A perceptron with as many parameters as `budget`, as nearly as one width of its three hidden layers can make it.

    It reads each token where the task takes predictions from tokens, else the mean over tokens.
    """

    learning_rate = 0.0003
    predicts = ("per_token", "per_sample")
    information = ("mean", "token", "place")
    budget: ClassVar[int]

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.per_token = "per_token" in outputs.predicts
        values = outputs.channels * (1 if self.per_token else outputs.num_predictions)
        hidden = hidden_width(self.budget, width, values)
        middle = [layer for _ in range(DEPTH) for layer in (nn.GELU(), nn.Linear(hidden, hidden))]
        last = small_linear(hidden, outputs) if self.per_token else spread_linear(hidden, outputs)
        self.layers = nn.Sequential(nn.Linear(width, hidden), *middle, nn.GELU(), last)

    def forward(self, features: Features) -> Prediction:
        if self.per_token:
            return per_token(self.layers(features.tokens), features)
        return per_sample(self.layers(features.pooled), self.outputs)


def hidden_width(budget: int, width: int, values: int) -> int:
    """Returns the hidden width whose number of parameters is nearest to the budget, at least 1.

    >>> hidden = hidden_width(1_000_000, 1280, 588)
    >>> hidden, 1280 * hidden + 2 * hidden**2 + 588 * hidden + 3 * hidden + 588
    (380, 1000368)
    """
    linear = width + values + 1 + DEPTH
    hidden = ((linear**2 + 4 * DEPTH * max(0, budget - values)) ** 0.5 - linear) / (2 * DEPTH)
    return max(1, round(float(hidden)))


class Capacity1M(CapacityMLP):
    """A perceptron of 1 million parameters."""

    budget = 1_000_000


class Capacity5M(CapacityMLP):
    """A perceptron of 5 million parameters."""

    budget = 5_000_000


class Capacity10M(CapacityMLP):
    """A perceptron of 10 million parameters."""

    budget = 10_000_000


class Capacity50M(CapacityMLP):
    """A perceptron of 50 million parameters."""

    budget = 50_000_000


HEADS = {
    "capacity-1m": Capacity1M,
    "capacity-5m": Capacity5M,
    "capacity-10m": Capacity10M,
    "capacity-50m": Capacity50M,
}
