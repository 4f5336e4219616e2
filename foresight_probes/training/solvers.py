"""The closed forms that heads may declare, and the tasks that each has targets for."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from foresight_probes import heads
from foresight_probes.options import TrainingOptions
from foresight_probes.tasks import Task
from foresight_probes.training.class_regression import ClassRegression
from foresight_probes.training.discriminant import Discriminant
from foresight_probes.training.logistic_regression import LogisticRegression
from foresight_probes.training.nearest_neighbours import NearestNeighbours
from foresight_probes.training.ridge_regression import RidgeRegression
from foresight_probes.training.solution import Solution
from foresight_probes.training.solver_data import SolverData


class Solver(Protocol):
    """A closed form."""

    targets: tuple[str, ...]
    """Targets (`Task.closed_form`) of which it needs one."""
    by_loss: bool
    """True where validation chooses by the loss: a metric that counts samples, or that knows their ranks alone, cannot
    tell the best solution from one that knows the training samples by heart."""

    def solve(
        self, runs: Sequence[int], data: SolverData, options: TrainingOptions
    ) -> Mapping[int, Sequence[Solution]]:
        """Returns the solutions that validation chooses from, one for each penalty, by the index of a run in `data`.

        Reports to `data.advance`.
        """

    def samples_seen(self, training: Sequence[frozenset[int]], penalties: int) -> int:
        """Returns how many samples `solve` reports for runs that train on these, with so many penalties."""


SOLVERS: Mapping[str, Solver] = {
    "ridge": RidgeRegression(),
    "logistic": LogisticRegression(),
    "discriminant": Discriminant(),
    "class": ClassRegression(),
    "knn": NearestNeighbours(),
}
"""Solvers by the name that a head declares."""


def solver_of(task: Task, head: str) -> str | None:
    """Returns the name of the solver of a head for a task; None for a head that is trained. Raises `UnknownName`.

    A linear head is solved wherever its loss is convex: by ridge regression for values, logistic regression for the
    class of a sample, and the discriminant for that of each token.
    """
    declared = heads.solver(head)
    if declared or not heads.is_linear_head(head):
        return declared
    if task.closed_form == "class":
        return "class" if "per_sample" in heads.load(head).predicts else "discriminant"
    return "ridge" if task.closed_form == "values" else None


def solvable(task: Task, head: str) -> bool:
    """Tells whether a head is trained, or is a closed form that the task has targets for. Raises `UnknownName`.

    Ridge regression needs values, logistic regression and nearest neighbours need classes.
    """
    solver = heads.solver(head)
    return solver is None or task.closed_form in SOLVERS[solver].targets
