"""One linear map on what a clip shows at each of its time steps, side by side."""

from torch import Tensor

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.heads.layers.outputs import per_sample, spread_linear


class Head(LinearHead):
    """tokens [B, T H W, D] -> means over each time step [B, T D] -> values [B, P, C]."""

    learning_rate = 0.01
    predicts = ("per_sample",)
    information = ("mean",)
    is_linear = True
    rearranges = True

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.steps = outputs.grid.t
        self.linear = spread_linear(width * self.steps, outputs)

    def inputs(self, features: Features) -> tuple[Tensor, Tensor]:
        means_B1D = step_means(features, self.steps).flatten(1)[:, None]
        return means_B1D, means_B1D.new_ones(len(means_B1D), 1).bool()

    def as_prediction(self, mapped: Tensor, features: Features) -> Prediction:  # noqa: ARG002 - cells do not matter here
        return per_sample(mapped, self.outputs)


def step_means(features: Features, steps: int) -> Tensor:
    """Returns the mean over the tokens of each time step, [B, steps, D]; zero for steps that a clip does not have."""
    tokens_BND, (grid, *others) = features.tokens, features.grids
    if grid.t == steps and all(other == grid for other in others):
        return tokens_BND.reshape(len(tokens_BND), steps, grid.h * grid.w, -1).mean(2)
    means_BTD = tokens_BND.new_zeros(len(tokens_BND), steps, tokens_BND.shape[2])
    for row, own in enumerate(features.grids):
        means_BTD[row, : own.t] = tokens_BND[row, : own.tokens].reshape(own.t, own.h * own.w, -1).mean(1)
    return means_BTD
