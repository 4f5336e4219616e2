"""Weighted votes of the k nearest training samples by cosine similarity, as DINOv2 is evaluated."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, Information, OutputSpec, Prediction
from foresight_probes.heads.layers.base import SolvableHead
from foresight_probes.heads.layers.neighbours import log_shares, nearest
from foresight_probes.heads.layers.outputs import per_sample

_FOUND = ("weight", "bias", "neighbours", "classes", "k")
"""Buffers, whose sizes depend on the samples that are kept."""


class Head(SolvableHead):
    """The classes of the k nearest training samples, each with the weight exp(cosine / 0.07); values are log shares.

    The means over tokens are compared, standardised per channel, since channels with outliers would own the cosine;
    or a linear map of these to few channels, where validation prefers it. Shapes: pooled [B, D] -> values [B, P, C].
    """

    learning_rate = 0.0
    predicts = ("per_sample",)
    reads = "pooled"
    information: ClassVar[tuple[Information, ...]] = ("mean",)
    solver = "knn"

    weight: Tensor
    """[J, D] float32, the map to the J channels that are compared; none of them where all D are."""
    bias: Tensor
    """[J] float32."""
    neighbours: Tensor
    """[R, J] or [R, D] float16, each of length 1."""
    classes: Tensor
    """[R] int64."""
    k: Tensor
    """int64 scalar."""

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        """Makes a head with one random neighbour of each class."""
        super().__init__()
        self.outputs, self.width = outputs, width
        self.weight, self.bias = nn.Buffer(torch.zeros(0, width)), nn.Buffer(torch.zeros(0))
        drawn_CD = nn.functional.normalize(torch.randn(outputs.channels, width), dim=1)
        self.neighbours = nn.Buffer(drawn_CD.half())
        self.classes = nn.Buffer(torch.arange(outputs.channels))
        self.k = nn.Buffer(torch.tensor(outputs.channels))
        self.register_load_state_dict_pre_hook(_resize)  # type: ignore[no-untyped-call]

    @property
    def in_features(self) -> int:
        return self.width

    @property
    def out_features(self) -> int:
        return self.outputs.channels

    def forward(self, features: Features) -> Prediction:
        inputs_BD = features.pooled
        if len(self.weight):
            inputs_BD = nn.functional.linear(inputs_BD, self.weight, self.bias)
        similarities_BK, numbers_BK = nearest(inputs_BD, self.neighbours, int(self.k))
        values_BC = log_shares(similarities_BK, self.classes[numbers_BK], self.out_features)
        return self.as_prediction(values_BC[:, None], features)

    def as_prediction(self, mapped: Tensor, features: Features) -> Prediction:  # noqa: ARG002 - cells do not matter here
        return per_sample(mapped.expand(-1, self.outputs.num_predictions, -1), self.outputs)


def _resize(head: nn.Module, stored: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    """Gives a head's buffers the sizes of those that are about to be loaded."""
    for name in _FOUND:
        if prefix + name in stored:
            own = getattr(head, name)
            setattr(head, name, nn.Buffer(own.new_empty(stored[prefix + name].shape)))
