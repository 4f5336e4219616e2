"""A linear map from all tokens together to all pieces together: every pixel may depend on every token.

The full matrix would have hundreds of billions of numbers at 448×448 pixels, so it has a low rank: each token is
mapped to few channels, all of these to a code, and the code to the pieces.
"""

from torch import nn

from foresight_cache.errors import ProbeError
from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_token, small_linear

CHANNELS = 16
"""Channels that each token is reduced to."""

RANK = 256
"""Length of the code, which is the rank of the map."""


class Head(ProbeHead):
    """tokens [B, N, D] -> [B, N 16] -> code [B, 256] -> values [B, N, C], without anything that is not linear.

    Raises `ProbeError` for samples that do not all lie on one grid.
    """

    learning_rate = 0.003
    predicts = ("per_token",)
    information = ("mean", "place")
    is_linear = True
    needs_one_grid = True

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.grid = outputs.grid
        count = self.grid.tokens
        self.reduce = nn.Linear(width, CHANNELS, bias=False)
        self.gather = nn.Linear(count * CHANNELS, RANK, bias=False)
        self.spread = small_linear(RANK, outputs, cells=count)

    def forward(self, features: Features) -> Prediction:
        if any(grid != self.grid for grid in features.grids):
            other = next(grid for grid in features.grids if grid != self.grid)
            raise ProbeError(
                f"global-linear maps grids of {self.grid} tokens, but a sample has {other}; "
                "extract with one --size for all, or use token-linear or conv-decoder"
            )
        code = self.gather(self.reduce(features.tokens).flatten(1))
        return per_token(self.spread(code).unflatten(1, (self.grid.tokens, -1)), features)
