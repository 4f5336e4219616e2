"""Several points side by side: their channels are concatenated, then one linear map."""

import torch
from torch import Tensor

from foresight_probes.batches import Features, OutputSpec
from foresight_probes.heads.layers.alignment import on_first_grid
from foresight_probes.heads.layers.multi_point import MultiPointHead


class Head(MultiPointHead):
    """tokens [B, N, D1], [B, N2, D2], … -> [B, N, D1 + D2 + …] -> values."""

    is_linear = True

    def __init__(self, *, widths: tuple[int, ...], outputs: OutputSpec) -> None:
        super().__init__(sum(widths), outputs)

    def mix(self, features: Features) -> Tensor:
        return torch.cat(on_first_grid(features), dim=-1)
