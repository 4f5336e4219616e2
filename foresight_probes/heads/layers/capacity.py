"""A ladder of heads that differ in their number of parameters alone."""

from torch import nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.pooled_linear import slots, spread_linear

DEPTH = 2
"""Hidden layers that follow the first."""


class CapacityMLP(nn.Module):
    """A multi-layer perceptron with as many parameters as `budget`, as nearly as one hidden width can make it.

    Its input is each token where the task takes predictions from tokens, else the mean over tokens.
    """

    learning_rate = 0.0003
    predicts: tuple[str, ...] = ("per_token", "per_sample")
    budget: int

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.per_token = "per_token" in outputs.predicts
        values = outputs.channels * (1 if self.per_token else outputs.slots)
        hidden = hidden_width(self.budget, width, values)
        middle = [layer for _ in range(DEPTH) for layer in (nn.GELU(), nn.Linear(hidden, hidden))]
        last = nn.Linear(hidden, values) if self.per_token else spread_linear(hidden, outputs)
        self.layers = nn.Sequential(nn.Linear(width, hidden), *middle, nn.GELU(), last)

    def forward(self, features: Features) -> Prediction:
        if self.per_token:
            values = self.layers(features.tokens)
            return Prediction(values=values, mask=features.mask, cells=features.cells, grids=features.grids)
        return slots(self.layers(features.pooled), self.outputs)


def hidden_width(budget: int, width: int, values: int) -> int:
    """The hidden width whose number of parameters is nearest to the budget, at least 1.

    >>> hidden = hidden_width(1_000_000, 1280, 588)
    >>> hidden, 1280 * hidden + 2 * hidden**2 + 588 * hidden + 3 * hidden + 588
    (380, 1000368)
    """
    linear = width + values + 1 + DEPTH
    hidden = ((linear**2 + 4 * DEPTH * max(0, budget - values)) ** 0.5 - linear) / (2 * DEPTH)
    return max(1, round(float(hidden)))
