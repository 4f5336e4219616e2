"""One linear map, the same for every token; each token makes one prediction, about its own place.

It knows where a token lies from its place in the array alone, so it is right only if tokens are in raster order.
"""

from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec, Prediction


class Head(nn.Module):
    """tokens [B, N, D] -> values [B, N, C], each with its token's cell."""

    learning_rate = 0.02
    predicts = ("per_token",)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs.channels)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Features) -> Prediction:
        return self.shape(self.linear(features.tokens), features)

    def shape(self, flat: Tensor, features: Features) -> Prediction:
        """What the result of `linear` means."""
        return Prediction(values=flat, mask=features.mask, cells=features.cells, grids=features.grids)
