"""Several points by cross-attention: each token of the first point attends to the tokens of the others."""

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec
from foresight_probes.heads.layers.attention import WIDTH, CrossAttentionBlock, position_encoding
from foresight_probes.heads.layers.multi_point import MultiPointHead


class Head(MultiPointHead):
    """tokens [B, N, D1] as queries, [B, N2 + …, 256] as what they attend to -> [B, N, 256] -> values."""

    learning_rate = 0.001

    def __init__(self, *, widths: tuple[int, ...], outputs: OutputSpec) -> None:
        super().__init__(WIDTH, outputs)
        self.project = nn.ModuleList(nn.Linear(width, WIDTH) for width in widths)
        self.look = CrossAttentionBlock()

    def mix(self, features: Features) -> Tensor:
        first, *others = (project(point.tokens) for project, point in zip(self.project, features.every, strict=True))
        attended, points = others or [first], features.others or (features,)
        mask = torch.cat([point.mask for point in points], dim=1)
        pairs = zip(attended, points, strict=True)
        keys = torch.cat([tokens + position_encoding(point) for tokens, point in pairs], dim=1)
        mixed_BND: Tensor = self.look(first + position_encoding(features), keys, torch.cat(attended, dim=1), mask)
        return mixed_BND
