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
    solver: ClassVar[Literal["ridge", "logistic", "knn"] | None] = None
    takes_several: ClassVar[bool] = False
    needs_one_grid: ClassVar[bool] = False

    def forward(self, features: Features) -> Prediction:
        """Predicts from standardised features."""
        raise NotImplementedError


class SolvableHead(ProbeHead):
    """A head that makes values of each row of its inputs, so that a solver finds it from such rows."""

    rearranges: ClassVar[bool] = False
    """True where `inputs` are not simply the means, or the tokens, as they are."""

    @property
    def in_features(self) -> int:
        """Channels D of a row of inputs."""
        raise NotImplementedError

    @property
    def out_features(self) -> int:
        """Values that are made of a row."""
        raise NotImplementedError

    def inputs(self, features: Features) -> tuple[Tensor, Tensor]:
        """Returns the rows of inputs, [B, R, D], and which of the R rows of each sample exist, [B, R] bool."""
        if self.reads == "tokens":
            return features.tokens, features.mask
        return features.pooled[:, None], features.pooled.new_ones(len(features.pooled), 1).bool()

    def as_prediction(self, mapped: Tensor, features: Features) -> Prediction:
        """Makes a prediction of the values of rows, [B, R, ...]; R is 1 for the whole sample."""
        raise NotImplementedError


class LinearHead(SolvableHead):
    """A head that is the map `linear` of what it reads and has no other parameter.

    Closed forms solve it where a task has targets for them. Elsewhere many are computed and trained as one matrix.
    """

    is_linear = True
    linear: nn.Linear

    @property
    def in_features(self) -> int:
        return self.linear.in_features

    @property
    def out_features(self) -> int:
        return self.linear.out_features

    def forward(self, features: Features) -> Prediction:
        return self.as_prediction(self.linear(self.inputs(features)[0]), features)
