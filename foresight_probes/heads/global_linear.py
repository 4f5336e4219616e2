"""A linear map from all tokens together to all pieces together: every pixel may depend on every token.

The full matrix would have hundreds of billions of numbers at 448×448 pixels, so it has a low rank: each token is
mapped to few channels, all of these to a code, and the code to the pieces.
"""

from torch import nn

from foresight_cache.errors import ProbeError
from foresight_probes.batches import Features, OutputSpec, Prediction

CHANNELS = 16
"""Per token."""

RANK = 256
"""Numbers of the code; rank of the map."""


class Head(nn.Module):
    """tokens [B, N, D] -> [B, N 16] -> code [B, 256] -> values [B, N, C], without anything that is not linear.

    Samples must all lie on one grid, or raise `ProbeError`. Without features only the biases are left: one value for
    each place, so that on a constant it learns the mean picture.
    """

    learning_rate = 0.003
    predicts = ("per_token",)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.grid = outputs.grid
        count = self.grid.tokens
        self.reduce = nn.Linear(width, CHANNELS, bias=False)
        self.gather = nn.Linear(count * CHANNELS, RANK, bias=False)
        self.spread = nn.Linear(RANK, count * outputs.channels)
        nn.init.normal_(self.spread.weight, std=0.01)
        nn.init.zeros_(self.spread.bias)

    def forward(self, features: Features) -> Prediction:
        if any(grid != self.grid for grid in features.grids):
            other = next(grid for grid in features.grids if grid != self.grid)
            raise ProbeError(
                f"global-linear maps grids of {self.grid} tokens, but a sample has {other}; "
                "extract with one --size for all, or use token-linear or conv-decoder."
            )
        code = self.gather(self.reduce(features.tokens).flatten(1))
        values = self.spread(code).unflatten(1, (self.grid.tokens, -1))
        return Prediction(values=values, mask=features.mask, cells=features.cells, grids=features.grids)
