"""A convolutional decoder from the token grid: every token keeps its cell, nothing is pooled.

Each token draws its own cell by a linear map, to which is added what convolutions over tokens, and then over pixels,
find. Maps get the size of the picture by rearranging channels (Shi et al., "Real-Time Single Image and Video
Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016).
"""

import math

from torch import Tensor, nn

from foresight_cache.samples import Grid
from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_token

WIDTH = 64
"""Channels of the convolutions over tokens."""

LEAST_CANVAS = 4
"""Channels of the canvas, at least; as many more as 64 spread over the pixels of a cell are."""

PIXEL_WIDTH, PIXEL_LAYERS = 16, 3
"""Channels and number of the convolutions over pixels."""

GAIN = 8.0
"""Factor of the linear map of each token, by which it learns as fast as `token-linear`, with its larger step size."""


class Head(ProbeHead):
    """tokens [B, N, D] -> a canvas of 4 channels that has the size of the picture -> values [B, N, C].

    Each time step is decoded by itself, into as many frames as it stands for. Where the task does not ask for
    pictures, the canvas has the size of the grid. The last layers begin at zero. A head that learns a residual has no
    linear map of its own from each token to its cell, since that was solved.
    """

    learning_rate = 0.003
    predicts = ("per_token",)
    information = ("token", "place")

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.cell = outputs.cell or (1, 1, 1, outputs.channels)
        frames, rows, columns, channels = self.cell
        canvas = max(LEAST_CANVAS, WIDTH // (rows * columns))
        self.own = None if outputs.residual else _zeroed(nn.Conv2d(width, math.prod(self.cell), 1))
        self.sketch = nn.Conv2d(width, canvas * rows * columns, 1)
        self.body = nn.Sequential(
            nn.Conv2d(width, WIDTH, 1),
            ChannelNorm(WIDTH),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(WIDTH, canvas * rows * columns, 1),
        )
        layers: list[nn.Module] = []
        for before in (canvas, *[PIXEL_WIDTH] * (PIXEL_LAYERS - 1)):
            layers += [_kept_variance(nn.Conv2d(before, PIXEL_WIDTH, 3, padding=1)), nn.ReLU(inplace=True)]
        self.pixels = nn.Sequential(*layers)
        self.draw = _zeroed(nn.Conv2d(PIXEL_WIDTH, frames * channels, 3, padding=1))

    def forward(self, features: Features) -> Prediction:
        pieces_BNC = features.tokens.new_zeros(*features.mask.shape, math.prod(self.cell))
        for grid in dict.fromkeys(features.grids):
            rows = [row for row, other in enumerate(features.grids) if other == grid]
            pieces_BNC[rows, : grid.tokens] = self._pieces(features.tokens[rows, : grid.tokens], grid)
        return per_token(pieces_BNC, features)

    def _pieces(self, tokens_BND: Tensor, grid: Grid) -> Tensor:
        """Decodes tokens that lie on one grid to pieces [B, N, C]."""
        maps = tokens_BND.reshape(-1, grid.h, grid.w, tokens_BND.shape[2]).permute(0, 3, 1, 2)
        frames, rows, columns, channels = self.cell
        canvas = spread_channels(self.sketch(maps) + self.body(maps), rows, columns)
        drawn = self.draw(self.pixels(canvas)).unflatten(1, (frames, channels))
        cut = drawn.unflatten(4, (grid.w, columns)).unflatten(3, (grid.h, rows))
        found_BNC: Tensor = cut.permute(0, 3, 5, 1, 4, 6, 2).reshape(len(tokens_BND), grid.tokens, -1)
        if self.own is None:
            return found_BNC
        own_BNC: Tensor = self.own(maps).permute(0, 2, 3, 1).reshape(found_BNC.shape)
        return found_BNC + GAIN * own_BNC


class ChannelNorm(nn.Module):
    """A layer normalisation of the channels at each place, so that places do not see each other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        normed: Tensor = self.norm(maps_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return normed


def spread_channels(maps: Tensor, rows: int, columns: int) -> Tensor:
    """Rearranges channels [B, C · rows · columns, H, W] into pixels [B, C, H · rows, W · columns].

    >>> import torch
    >>> spread_channels(torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1), 1, 2)[0].tolist()
    [[[1.0, 2.0]], [[3.0, 4.0]]]
    """
    batch, _, high, wide = maps.shape
    apart = maps.permute(0, 2, 3, 1).reshape(batch, high, wide, -1, rows, columns)
    return apart.permute(0, 1, 4, 2, 5, 3).reshape(batch, high * rows, wide * columns, -1).permute(0, 3, 1, 2)


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _kept_variance(layer: nn.Conv2d) -> nn.Conv2d:
    """Gives weights by which signals neither fade nor grow from layer to layer."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
