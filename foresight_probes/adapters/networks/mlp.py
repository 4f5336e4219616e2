"""Each token through a small network, then the mean over the tokens of each cell of the latent."""

from collections.abc import Sequence

from torch import Tensor

from foresight_probes.adapters.networks.layers import base
from foresight_probes.adapters.networks.layers.streams import GriddedStream, Readout


class Adapter(base.Adapter):
    """Knows no other cell than its own, and its place."""

    def __init__(self, shape: base.Shape, width: int) -> None:
        super().__init__(shape, width)
        (given,) = shape.streams
        self.stream = GriddedStream(given.channels, given.lattice, shape.latent, width)
        self.readout = Readout(shape.latent, width, shape.channels)

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        (tokens_BND,) = streams
        latents: Tensor = self.readout(self.stream(tokens_BND))
        return latents
