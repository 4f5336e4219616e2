"""The classes that heads derive from, with the defaults of what a head declares."""

from typing import ClassVar, Literal

from torch import Tensor, nn

from foresight_probes.batches import Features, Form, Information, Prediction


class ProbeHead(nn.Module):
    """A head with the defaults of `heads.HeadClass`."""

    learning_rate: ClassVar[float]
    predicts: ClassVar[tuple[Form, ...]]
    reads: ClassVar[Literal["pooled", "tokens"]] = "tokens"
    information: ClassVar[tuple[Information, ...]]
    is_linear: ClassVar[bool] = False
    solver: ClassVar[Literal["ridge", "logistic", "constant"] | None] = None
    takes_several: ClassVar[bool] = False

    def forward(self, features: Features) -> Prediction:
        """Predicts from standardised features."""
        raise NotImplementedError


class LinearHead(ProbeHead):
    """A head that is the map `linear` of what it reads and has no other parameter.

    Many of them are computed and trained as one matrix, and closed forms solve them.
    """

    is_linear = True
    linear: nn.Linear

    def forward(self, features: Features) -> Prediction:
        return self.as_prediction(self.linear(features.pooled if self.reads == "pooled" else features.tokens), features)

    def as_prediction(self, mapped: Tensor, features: Features) -> Prediction:
        """Makes a prediction of what `linear` maps features to, [B, P · C] or [B, N, C]."""
        raise NotImplementedError
