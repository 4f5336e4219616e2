"""A convolutional decoder from the token grid: every token keeps its cell, nothing is pooled."""

import math

import torch
from torch import Tensor, nn

from foresight_cache.samples import Grid
from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.features.patches import patchify
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_token, zero_for_residual

WIDEST = 256
"""Channels at the resolution of the tokens; half as many after each doubling."""

NARROWEST = 32
"""Channels below which maps get no narrower."""


class Head(ProbeHead):
    """tokens [B, N, D] -> maps [256, H, W], doubled in size until they are the picture -> values [B, N, C].

    Each time step is decoded by itself, into as many frames as it stands for. A factor of the size of a cell that is
    not a power of two (7 for patches of 14 pixels) is made in one step, by rearranging channels (Shi et al., CVPR
    2016).
    Where the task does not ask for pictures, the maps keep the size of the grid.
    """

    learning_rate = 0.001
    predicts = ("per_token",)
    information = ("token", "place")

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.cell = outputs.cell or (1, 1, 1, outputs.channels)
        frames, height, width_of_cell, channels = self.cell
        self.project = nn.Conv2d(width, WIDEST, 1)
        layers: list[nn.Module] = [nn.Conv2d(WIDEST, WIDEST, 3, padding=1), nn.GELU()]
        narrow = WIDEST
        while height % 2 == 0 and width_of_cell % 2 == 0:
            narrower = max(NARROWEST, narrow // 2)
            layers += [nn.ConvTranspose2d(narrow, narrower, 4, stride=2, padding=1), nn.GELU()]
            height, width_of_cell, narrow = height // 2, width_of_cell // 2, narrower
        self.body = nn.Sequential(*layers)
        self.rest = (height, width_of_cell)
        last = nn.Conv2d(narrow, frames * channels * height * width_of_cell, 3, padding=1)
        self.draw = zero_for_residual(last, outputs)

    def forward(self, features: Features) -> Prediction:
        pieces_BNC = features.tokens.new_zeros(*features.mask.shape, math.prod(self.cell))
        for grid in dict.fromkeys(features.grids):
            rows = [row for row, other in enumerate(features.grids) if other == grid]
            pieces_BNC[rows, : grid.tokens] = self._pieces(features.tokens[rows, : grid.tokens], grid)
        return per_token(pieces_BNC, features)

    def _pieces(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Decodes tokens [B, N, D] that lie on one grid to pieces [B, N, C]."""
        frames, _, _, channels = self.cell
        maps = tokens.reshape(-1, grid.h, grid.w, tokens.shape[2]).permute(0, 3, 1, 2)
        drawn = self.draw(self.body(self.project(maps)))
        high, wide = self.rest
        _, _, height, width = drawn.shape
        apart = drawn.reshape(len(tokens), grid.t, frames, channels, high, wide, height, width)
        pictures = apart.permute(0, 1, 2, 6, 4, 7, 5, 3).reshape(
            len(tokens), grid.t * frames, height * high, width * wide, channels
        )
        return torch.stack([patchify(picture, grid) for picture in pictures])
