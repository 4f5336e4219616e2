"""Linear maps to the class of a sample: logistic regression in all channels, and on the scores of ridge regression.

A penalty on weights bears hardest on directions in which features hardly vary. Where a few directions without
information vary most, logistic regression in all channels pays more for them than the discriminant does; where they do
not, both read the same. Validation chooses. Of many samples, channels and classes only the discriminant is solved:
Newton's method would read them hundreds of times for each penalty.
"""

from collections.abc import Sequence

from foresight_probes.options import TrainingOptions
from foresight_probes.training.discriminant import Discriminant
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.logistic_regression import LogisticRegression
from foresight_probes.training.solver_data import SolverData

MOST_NUMBERS = 2**22
"""Rows that a run trains on times the directions that they span times classes, up to which both are solved."""


class ClassRegression:
    """The solutions of both, those of logistic regression first; a `Solver`."""

    targets: tuple[str, ...] = ("class",)
    by_loss = True

    def solve(self, runs: Sequence[int], data: SolverData, options: TrainingOptions) -> dict[int, list[LinearSolution]]:
        few = [run for run in runs if _cost(run, data) <= MOST_NUMBERS]
        logistic = LogisticRegression().solve(few, data, options)
        discriminant = Discriminant().solve(runs, data, options)
        return {run: [*logistic.get(run, ()), *discriminant[run]] for run in runs}

    def samples_seen(self, training: Sequence[frozenset[int]], penalties: int) -> int:
        """Returns the sum of both, which is too many where there are many samples."""
        solvers = LogisticRegression(), Discriminant()
        return sum(solver.samples_seen(training, penalties) for solver in solvers)


def _cost(run: int, data: SolverData) -> int:
    classes, width = data.heads[run].out_features, data.heads[run].in_features
    rows = data.most_rows(run)
    return rows * min(rows, width) * classes
