"""A convolutional decoder from the mean over tokens, as a first attempt would have it; it stands beside `conv-decoder`
to show what pooling alone costs.
"""

import math

from torch import Tensor, nn
from torch.nn import functional

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.features.patches import patchify
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_token, zero_for_residual

START = (512, 7, 7)
"""Channels, rows and columns that the mean is mapped to."""


class Head(ProbeHead):
    """pooled [B, D] -> maps [512, 7, 7] -> five doublings to 224×224 -> resized to the picture -> values [B, N, C].

    All frames of a clip are drawn the same.
    """

    learning_rate = 0.0005
    predicts = ("per_token",)
    information = ("mean",)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.cell = outputs.cell or (1, 1, 1, outputs.channels)
        channels, rows, columns = START
        self.project = nn.Linear(width, channels * rows * columns)
        layers: list[nn.Module] = []
        for before, after in ((512, 256), (256, 128), (128, 64), (64, 32)):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        last = nn.ConvTranspose2d(32, self.cell[3], 4, stride=2, padding=1)
        self.decoder = nn.Sequential(*layers, zero_for_residual(last, outputs))

    def forward(self, features: Features) -> Prediction:
        drawn = self.decoder(self.project(features.pooled).unflatten(1, START))
        values_BNC = features.tokens.new_zeros(*features.mask.shape, math.prod(self.cell))
        for row, (picture, grid) in enumerate(zip(drawn, features.grids, strict=True)):
            frames, height, width, _ = self.cell
            size = (grid.h * height, grid.w * width)
            fitted: Tensor = functional.interpolate(picture[None], size, mode="bilinear", antialias=True)
            still = fitted.permute(0, 2, 3, 1).expand(grid.t * frames, -1, -1, -1)
            values_BNC[row, : grid.tokens] = patchify(still, grid)
        return per_token(values_BNC, features)
