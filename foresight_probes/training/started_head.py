"""A head that corrects what a closed form predicts, and that sees its point through a view."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.features.views import View
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample, per_token


class StartedHead(ProbeHead):
    """The values of a closed form, the first channels of a view, plus those that a head makes of the other channels."""

    def __init__(self, body: ProbeHead, outputs: OutputSpec, start: int) -> None:
        """Takes a head for the view's other channels; `start` is 0 for one that begins from nothing."""
        super().__init__()
        self.body, self.outputs, self.start = body, outputs, start

    def forward(self, features: Features) -> Prediction:
        inputs = replace(features, tokens=features.tokens[..., self.start :], pooled=features.pooled[..., self.start :])
        correction: Prediction = self.body(inputs)
        if not self.start:
            return correction
        start = self._start(features, correction)
        return replace(correction, values=correction.values + start.values)

    def _start(self, features: Features, correction: Prediction) -> Prediction:
        if correction.cells is None:
            return per_sample(features.pooled[..., : self.start], self.outputs)
        return per_token(features.tokens[..., : self.start], features)


class ViewedHead(ProbeHead):
    """A head with the view that it was trained on, which takes the point's standardised features."""

    def __init__(self, head: ProbeHead, view: View, *, pooled: bool) -> None:
        super().__init__()
        self.head, self._view, self._pooled = head, view, pooled
        self.view_weight, self.view_bias = nn.Buffer(view.weight), nn.Buffer(view.bias)

    def forward(self, features: Features) -> Prediction:
        view = replace(self._view, weight=self.view_weight, bias=self.view_bias)
        if self._pooled:
            pooled_BK = view(features.pooled)
            pooled: Prediction = self.head(replace(features, tokens=pooled_BK[:, None], pooled=pooled_BK))
            return pooled
        tokens_BNK = view(features.tokens) * features.mask[..., None]
        pooled_BK = tokens_BNK.sum(1) / features.mask.sum(1, keepdim=True)
        prediction: Prediction = self.head(replace(features, tokens=tokens_BNK, pooled=pooled_BK))
        return prediction


def composed(weight_CK: Tensor, bias_C: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Returns the linear map [C, D] of standardised features, and its bias [C], that a linear map of a view is."""
    few = len(view.bias)
    weight_CD = weight_CK[:, :few] @ view.weight
    return (weight_CD + weight_CK[:, few:] if view.all_channels else weight_CD), weight_CK[:, :few] @ view.bias + bias_C


def start_from_identity(linear: nn.Linear, start: int) -> None:
    """Makes a linear map return the first `start` of its inputs, of which it has as many outputs."""
    with torch.no_grad():
        linear.weight.zero_()
        linear.weight[:, :start] = torch.eye(start)
        linear.bias.zero_()
