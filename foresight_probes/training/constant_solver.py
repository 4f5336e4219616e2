"""The best constant answer: the shares of the classes, or the mean."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.options import TrainingOptions
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.solver_data import SolverData

_UNSEEN = 0.5
"""Share of a sample that counts for a class which no training sample has, so that its logit is finite."""


class ConstantAnswers:
    """Weights of 0 with the bias of least cross-entropy, the logarithms of the classes' shares, or of least squares.

    Tokens weigh the same, whatever sample they are of.
    """

    targets: tuple[str, ...] = ("class", "values")

    def solve(
        self,
        runs: Sequence[int],
        data: SolverData,
        options: TrainingOptions,  # noqa: ARG002 - it has no penalty
    ) -> dict[int, list[LinearSolution]]:
        sums = {run: torch.zeros_like(data.heads[run].linear.bias, dtype=torch.float64) for run in runs}
        counts = dict.fromkeys(runs, 0)
        for rows in data.training_rows(runs):
            for run, answers in zip(rows.runs, rows.answers, strict=True):
                known = answers >= 0 if answers.ndim == 1 else ~answers.isnan().any(1)
                sums[run] += _values(answers[known], len(sums[run])).double().sum(0)
                counts[run] += int(known.sum())
        return {run: [self._solution(data, run, sums[run], max(1, counts[run]))] for run in runs}

    def samples_seen(self, training: Sequence[frozenset[int]], penalties: int) -> int:  # noqa: ARG002 - one pass for all
        return len(frozenset().union(*training))

    def _solution(self, data: SolverData, run: int, total: Tensor, count: int) -> LinearSolution:
        has_classes = data.task(run).closed_form == "class"
        bias = (total.clamp(min=_UNSEEN) / count).log() if has_classes else total / count
        return LinearSolution(None, torch.zeros_like(data.heads[run].linear.weight).double(), bias)


def _values(answers: Tensor, channels: int) -> Tensor:
    """[R, C]: values as they are, and classes one-hot."""
    return answers if answers.ndim == 2 else functional.one_hot(answers, channels)
