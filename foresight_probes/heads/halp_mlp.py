"""The perceptron of HALP (arXiv 2603.05465): linear, ReLU, batch normalisation and dropout at 512, 256 and 128."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample, spread_linear

HIDDEN = (512, 256, 128)
DROPOUT = 0.3


class Head(ProbeHead):
    """HALP's perceptron on the mean over tokens. Shapes: pooled [B, D] -> values [B, P, C].

    What it predicts in evaluation depends on the running means and variances of its normalisations, which are part of
    its state and are kept, selected and loaded with its weights.
    """

    learning_rate = 0.001
    predicts = ("per_sample",)
    reads = "pooled"
    information = ("mean",)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.network = HalpNetwork(width, spread_linear(HIDDEN[-1], outputs))

    def forward(self, features: Features) -> Prediction:
        return per_sample(self.network(features.pooled), self.outputs)


class HalpNetwork(nn.Module):
    """The layers of the published probe with a last layer of any width. Shapes: [B, D] -> [B, outputs of the last].

    Its initial weights, and the seed of its dropout, are drawn from torch's global generator.
    """

    def __init__(self, width: int, last: nn.Linear) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((width, *HIDDEN), HIDDEN, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU(), RowNormalization(after)]
        self.layers = nn.ModuleList(layers)
        self.last = last
        seed = int(torch.randint(2**62, ()))
        self._drawing = torch.Generator().manual_seed(seed)

    def forward(self, vectors_BD: Tensor) -> Tensor:
        hidden = vectors_BD
        for layer in self.layers:
            hidden = layer(hidden)
            if isinstance(layer, RowNormalization):
                hidden = self._dropped(hidden)
        values: Tensor = self.last(hidden)
        return values

    def _dropped(self, hidden: Tensor) -> Tensor:
        """Applies dropout that draws from a generator of its own.

        Heads that train beside each other in threads would take turns at torch's global one in no fixed order.
        """
        if not self.training:
            return hidden
        kept = torch.empty(hidden.shape, dtype=hidden.dtype).bernoulli_(1 - DROPOUT, generator=self._drawing)
        return hidden * kept.div_(1 - DROPOUT).to(hidden.device)


class RowNormalization(nn.BatchNorm1d):
    """Batch normalisation that takes a batch of a single row, which has no variance, by its running ones."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and len(input) == 1:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(input)
