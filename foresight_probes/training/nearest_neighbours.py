"""Nearest neighbours: training rows are kept, for the channels and the number of neighbours that validation chooses.

Cosines between features are ruled by the directions in which these vary most, whether or not they tell anything. So
the rows are compared in several ways: in all standardised channels, in the values of ridge regression on the classes,
and in the leading directions, whitened.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from foresight_probes.batches import Features, Prediction
from foresight_probes.features.views import CHANNELS, LEADING, START
from foresight_probes.heads.knn import Head
from foresight_probes.heads.layers.base import SolvableHead
from foresight_probes.heads.layers.neighbours import log_shares, nearest
from foresight_probes.options import TrainingOptions
from foresight_probes.training.leading_directions import leading_directions
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.ridge_regression import RidgeRegression
from foresight_probes.training.solution_scores import best_on_validation
from foresight_probes.training.solver_data import MOST_ROWS, SolverData, sampled

COUNTS = (5, 10, 20, 50, 100, 200)
"""Numbers of neighbours that are tried."""
DIRECTIONS = (16, 48, 128)
"""Numbers of leading directions that are tried."""


@dataclass(slots=True)
class NeighbourBank:
    """Training rows, R of them, as they are compared."""

    inputs: str
    """Name of what is compared, as those of views."""
    weight: Tensor
    """[J, D] float32, of standardised features; none of the J rows where all channels are compared."""
    bias: Tensor
    """[J] float32."""
    rows: Tensor
    """[R, J] or [R, D] float16, each of length 1."""
    classes: Tensor
    """[R] int64."""
    strength: float | None = None
    """Strength of the penalty that the map was found with; None where there was none."""
    _asked: Tensor | None = field(default=None, init=False)
    _found: tuple[Tensor, Tensor] | None = field(default=None, init=False)

    @classmethod
    def of(cls, inputs: str, weight: Tensor, bias: Tensor, inputs_RD: Tensor, classes_R: Tensor) -> "NeighbourBank":
        """Makes a bank of standardised features."""
        rows = inputs_RD @ weight.T + bias if len(weight) else inputs_RD
        return cls(inputs, weight, bias, functional.normalize(rows, dim=1).half(), classes_R)

    def nearest(self, inputs_B1D: Tensor) -> tuple[Tensor, Tensor]:
        """Returns similarities and classes of the nearest rows, [B, K], as many as any number of them needs.

        They are found once for inputs that are asked for again.
        """
        if self._found is None or inputs_B1D is not self._asked:
            mapped_BJ = inputs_B1D[:, 0].float()
            if len(self.weight):
                mapped_BJ = functional.linear(mapped_BJ, self.weight, self.bias)
            similarities_BK, numbers_BK = nearest(mapped_BJ, self.rows, min(COUNTS[-1], len(self.rows)))
            self._asked, self._found = inputs_B1D, (similarities_BK, self.classes[numbers_BK])
        return self._found


@dataclass(frozen=True, slots=True)
class NeighbourSolution:
    """A bank with a number of neighbours; a `Solution`."""

    bank: NeighbourBank
    neighbours: int

    @property
    def penalty(self) -> float | None:
        return self.bank.strength

    @property
    def chosen(self) -> Mapping[str, Any]:
        strength = {} if self.penalty is None else {"strength": self.penalty}
        return {"inputs": self.bank.inputs, "neighbours": self.neighbours, **strength}

    def predict(self, head: SolvableHead, inputs_BRD: Tensor, features: Features) -> Prediction:
        similarities_BK, classes_BK = self.bank.nearest(inputs_BRD)
        nearer = similarities_BK[:, : self.neighbours], classes_BK[:, : self.neighbours]
        return head.as_prediction(log_shares(*nearer, head.out_features)[:, None], features)

    def keep(self, head: SolvableHead) -> None:
        own = cast(Head, head)
        own.weight, own.bias = nn.Buffer(self.bank.weight), nn.Buffer(self.bank.bias)
        own.neighbours, own.classes = nn.Buffer(self.bank.rows), nn.Buffer(self.bank.classes)
        own.k = nn.Buffer(torch.tensor(self.neighbours))


class NearestNeighbours:
    """Banks of training rows, of which there are `MOST_ROWS` at most, chosen by hash; a `Solver`."""

    targets: tuple[str, ...] = ("class",)
    by_loss = False

    def solve(
        self, runs: Sequence[int], data: SolverData, options: TrainingOptions
    ) -> dict[int, list[NeighbourSolution]]:
        ridge = best_on_validation(data, RidgeRegression().solve(runs, data, options), counted=False)
        banks = {run: _banks(*_kept(run, data), ridge[run][0]) for run in runs}
        return {run: [own for bank in banks[run] for own in _solutions(bank)] for run in runs}

    def samples_seen(self, training: Sequence[frozenset[int]], penalties: int) -> int:
        """Returns the samples that ridge regression sees."""
        return RidgeRegression().samples_seen(training, penalties)


def _kept(run: int, data: SolverData) -> tuple[Tensor, Tensor]:
    """The rows that a run keeps, [R, D] float32, and their classes."""
    inputs = [torch.zeros(0, data.heads[run].in_features)]
    classes = [torch.zeros(0, dtype=torch.int64)]
    for rows in data.training_rows([run], counted=False):
        (answers,) = rows.answers
        inputs.append(rows.inputs_RD[answers >= 0].float())
        classes.append(answers[answers >= 0])
    inputs_RD, classes_R = torch.cat(inputs), torch.cat(classes)
    kept = sampled(0, len(classes_R), MOST_ROWS)
    return inputs_RD[kept], classes_R[kept]


def _banks(inputs_RD: Tensor, classes_R: Tensor, ridge: LinearSolution) -> Iterator[NeighbourBank]:
    """The rows in all ways in which they are compared; those without any row in one."""
    width, none = inputs_RD.shape[1], torch.zeros(0)
    yield NeighbourBank.of(CHANNELS, torch.zeros(0, width), none, inputs_RD, classes_R)
    if not len(classes_R):
        return
    scores = NeighbourBank.of(START, *_scores(inputs_RD, ridge.weight.float()), inputs_RD, classes_R)
    scores.strength = ridge.penalty
    yield scores
    for count in (own for own in DIRECTIONS if own < min(inputs_RD.shape)):
        weight = leading_directions(inputs_RD, count)
        yield NeighbourBank.of(f"{LEADING}{count}", weight, torch.zeros(len(weight)), inputs_RD, classes_R)


def _scores(inputs_RD: Tensor, weight_CD: Tensor) -> tuple[Tensor, Tensor]:
    """The map to values of mean 0, whose deviations have the mean square 1, with a constant 1 behind them.

    Without it, cosines would tell the direction of these few values alone: of two classes, which is the likelier.
    """
    values_RC = inputs_RD @ weight_CD.T
    scale = values_RC.std(0, correction=0).square().mean().sqrt().clamp(min=1e-6)
    weight = torch.cat([weight_CD / scale, torch.zeros(1, weight_CD.shape[1])])
    return weight, torch.cat([-values_RC.mean(0) / scale, torch.ones(1)])


def _solutions(bank: NeighbourBank) -> list[NeighbourSolution]:
    """Numbers of neighbours above that of the rows are all of these, once."""
    counts = dict.fromkeys(min(count, len(bank.rows)) for count in COUNTS)
    return [NeighbourSolution(bank, count) for count in counts]
