"""One linear map on what a clip shows at each of its time steps, side by side."""

from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.pooled_linear import slots, spread_linear


class Head(nn.Module):
    """tokens [B, T H W, D] -> means over each time step [B, T D] -> values [B, P, C]."""

    learning_rate = 0.01
    predicts = ("per_sample",)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.steps = outputs.grid.t
        self.linear = spread_linear(width * self.steps, outputs)

    def forward(self, features: Features) -> Prediction:
        return slots(self.linear(step_means(features, self.steps).flatten(1)), self.outputs)


def step_means(features: Features, steps: int) -> Tensor:
    """[B, steps, D]: the mean over the tokens of each time step; zero for steps that a clip does not have."""
    tokens, (grid, *others) = features.tokens, features.grids
    if grid.t == steps and all(other == grid for other in others):
        return tokens.reshape(len(tokens), steps, grid.h * grid.w, -1).mean(2)
    means = tokens.new_zeros(len(tokens), steps, tokens.shape[2])
    for row, each in enumerate(features.grids):
        means[row, : each.t] = tokens[row, : each.tokens].reshape(each.t, each.h * each.w, -1).mean(1)
    return means
