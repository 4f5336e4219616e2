"""One linear map: of the mean over tokens, or of each token.

The map of tokens is the same for all and makes one prediction each, about the token's own cell. It knows where a token
lies from its index alone, so it is right only if tokens are in raster order.
"""

from typing import ClassVar

from torch import Tensor

from foresight_probes.batches import Features, Information, OutputSpec, Prediction
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.heads.layers.outputs import per_sample, per_token, small_linear, spread_linear


class PooledLinear(LinearHead):
    """A linear map of the mean over tokens. Shapes: pooled [B, D] -> values [B, P, C]."""

    learning_rate = 0.01
    predicts = ("per_sample",)
    reads = "pooled"
    information: ClassVar[tuple[Information, ...]] = ("mean",)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.linear = spread_linear(width, outputs)

    def as_prediction(self, mapped: Tensor, features: Features) -> Prediction:  # noqa: ARG002 - cells do not matter here
        return per_sample(mapped, self.outputs)


class TokenLinear(LinearHead):
    """A linear map of each token, the same for all. Shapes: tokens [B, N, D] -> values [B, N, C], one of each token."""

    learning_rate = 0.02
    predicts = ("per_token",)
    information: ClassVar[tuple[Information, ...]] = ("token", "place")

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.linear = small_linear(width, outputs)

    def as_prediction(self, mapped: Tensor, features: Features) -> Prediction:
        return per_token(mapped, features)


HEADS = {"pooled-linear": PooledLinear, "token-linear": TokenLinear}
