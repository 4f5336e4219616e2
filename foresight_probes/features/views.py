"""Views of a point: a few channels that are affine in its standardised features, as sources of their own."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.standardization import Standardization

START, CHANNELS = "start", "channels"
"""Names of views: the closed form's values alone, and these with all standardised channels."""
LEADING = "leading-"
"""Prefix of the names of views with leading directions, before their number."""
_FLOAT32 = np.dtype(np.float32)
_ONE_TOKEN = Grid(1, 1, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Inputs of a head: K channels that are affine in standardised features, then these features where it has them.

    The first `start` channels are values that a head's predictions start from; what follows is what it learns from.
    """

    name: str
    weight: Tensor
    """[K, D] float32."""
    bias: Tensor
    """[K] float32."""
    start: int
    all_channels: bool = False
    """True where the D standardised channels follow."""

    @property
    def width(self) -> int:
        """Channels, those of the start included."""
        return len(self.bias) + (self.weight.shape[1] if self.all_channels else 0)

    def __call__(self, features: Tensor) -> Tensor:
        """Maps standardised features [..., D] to [..., width]."""
        few = torch.nn.functional.linear(features, self.weight, self.bias)
        return torch.cat([few, features], dim=-1) if self.all_channels else few


class TokenView:
    """A view of each token of a point; a `Source`. Tokens are read through the point's own data."""

    dtype = _FLOAT32

    def __init__(self, data: FeatureData, standardization: Standardization, view: View) -> None:
        self._data, self._standardization, self._view = data, standardization, view
        self.name = data.source.name
        self.width = view.width

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:  # noqa: ARG002 - verified in the first pass
        tokens_ND = self._data.tokens_of(row)
        tokens_ND.sub_(self._standardization.token_mean).div_(self._standardization.token_scale)
        torch.from_numpy(out_ND).copy_(self._view(tokens_ND))

    def grid(self, row: int) -> Grid:
        return self._data.source.grid(row)

    def shard(self, row: int) -> int:
        return self._data.source.shard(row)


class PooledView:
    """A view of the means over tokens, one token for each sample; a `Source`."""

    dtype = _FLOAT32

    def __init__(self, data: FeatureData, standardization: Standardization, view: View) -> None:
        self._data, self._standardization, self._view = data, standardization, view
        self.name = data.source.name
        self.width = view.width

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:  # noqa: ARG002 - as above
        pooled_D = torch.from_numpy(self._data.pooled_of(row))
        standardised_D = (pooled_D - self._standardization.pooled_mean) / self._standardization.pooled_scale
        torch.from_numpy(out_ND).copy_(self._view(standardised_D[None]))

    def grid(self, row: int) -> Grid:  # noqa: ARG002
        return _ONE_TOKEN

    def shard(self, row: int) -> int:
        return self._data.source.shard(row)
