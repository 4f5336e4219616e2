"""The shape of every adapter: streams of tokens in, a latent out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from foresight_probes.adapters.lattice import Lattice


@dataclass(frozen=True, slots=True)
class TokenStream:
    """Tokens of a point, as an adapter meets them."""

    channels: int
    lattice: Lattice


@dataclass(frozen=True, slots=True)
class Shape:
    """What an adapter is made for."""

    streams: tuple[TokenStream, ...]
    """Points, in the order in which they are named."""
    latent: Lattice
    channels: int
    """Channels of the latent."""
    left_out: int | None = None
    """Number of the stream that the adapter has no part for, from 0; None for none."""


class Adapter(nn.Module, ABC):
    """A network from standardised tokens to a standardised latent."""

    points: ClassVar[tuple[int, int]] = (1, 1)
    """Number of points that it takes, at least and at most."""
    from_several_caches: ClassVar[bool] = False
    """True where its points have to be of different caches."""
    leaves_out: ClassVar[bool] = False
    """True where it can be made without one of its streams, to measure what that stream adds."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        self.shape, self.width = shape, width

    @abstractmethod
    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """Returns [B, Q, C] float32 in raster order, of the tokens [B, N, D] float32 of each point."""
