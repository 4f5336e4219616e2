"""Several points by cross-attention: each token of the first point looks at the tokens of the others."""

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec
from foresight_probes.heads.layers.attention import WIDTH, CrossAttentionBlock, places
from foresight_probes.heads.layers.multi_point import MultiPointHead


class Head(MultiPointHead):
    """tokens [B, N, D1] as queries, [B, N2 + …, 256] as what they look at -> [B, N, 256] -> values."""

    learning_rate = 0.001

    def __init__(self, *, widths: tuple[int, ...], outputs: OutputSpec) -> None:
        super().__init__(WIDTH, outputs)
        self.project = nn.ModuleList(nn.Linear(width, WIDTH) for width in widths)
        self.look = CrossAttentionBlock()

    def mix(self, features: Features) -> Tensor:
        first, *others = (project(each.tokens) for project, each in zip(self.project, features.every, strict=True))
        seen = others or [first]
        where = [places(each) for each in features.others or (features,)]
        mask = torch.cat([each.mask for each in features.others or (features,)], dim=1)
        keys = torch.cat([tokens + place for tokens, place in zip(seen, where, strict=True)], dim=1)
        found: Tensor = self.look(first + places(features), keys, torch.cat(seen, dim=1), mask)
        return found
