"""Heads that are solved and not trained: all penalties, training sets and tasks of a point together."""

from collections.abc import Mapping, Sequence

from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.run_spec import BestEpoch
from foresight_probes.training.solution import Solution
from foresight_probes.training.solution_scores import best_on_validation, evaluate
from foresight_probes.training.solver_data import SolverData
from foresight_probes.training.solvers import SOLVERS


def samples_seen(solvers: Sequence[str], splits: Sequence[Split], penalties: int) -> int:
    """Returns how many samples the closed forms of a point report, of runs with these solvers and splits."""
    seen = sum(len(frozenset().union(*(split.rows(side) for split in splits))) for side in ("validation", "test"))
    for name, solver in SOLVERS.items():
        own = [frozenset(split.train) for own, split in zip(solvers, splits, strict=True) if own == name]
        seen += solver.samples_seen(own, penalties)
    return seen


class ClosedForms:
    """Ridge and logistic heads on one point, whose runs are as independent as those of a `Bank`.

    A run's seed decides which samples train and which select (`splits.resplit`), the strength of its penalty is
    selected on validation, and the test split is seen once. Ridge heads are solved from sums over a single
    pass, logistic ones from many; those of nearest neighbours keep samples.
    """

    def __init__(self, data: SolverData, options: TrainingOptions) -> None:
        self._data, self._options = data, options
        self.runs, self.heads = data.runs, data.heads
        self.selections = [BestEpoch() for _ in data.runs]

    def fit(self) -> list[Fitted]:
        """Solves, selects on validation and evaluates the test split once; returns the runs in their order."""
        best = self.best()
        tested = evaluate(self._data, {run: [own] for run, own in best.items()}, "test")
        return [
            Fitted(
                run=run,
                best=self.selections[index],
                head=self.heads[index],
                chosen=best[index].chosen,
                test_scores=tested[index][0],
            )
            for index, run in enumerate(self.runs)
        ]

    def best(self) -> dict[int, Solution]:
        """Solves, keeps the weights of each run's best solution on validation, and returns it."""
        return self._select(self.solutions())

    def solutions(self) -> dict[int, Sequence[Solution]]:
        """Solves, and returns the solutions of each run by its index, one for each penalty."""
        solutions: dict[int, Sequence[Solution]] = {}
        for name, solver in SOLVERS.items():
            runs = [index for index, own in enumerate(self._data.solvers) if own == name]
            solutions |= solver.solve(runs, self._data, self._options) if runs else {}
        return solutions

    def _select(self, solutions: Mapping[int, Sequence[Solution]]) -> dict[int, Solution]:
        by_loss = [index for index, name in enumerate(self._data.solvers) if SOLVERS[name].by_loss]
        selected = best_on_validation(self._data, solutions, by_loss=by_loss)
        for index, best in selected.items():
            best.solution.keep(self.heads[index])
            weights = self.heads[index].state_dict()
            self.selections[index] = BestEpoch(best.value, 1, weights, best.solution.penalty, best.scores)
        return {index: best.solution for index, best in selected.items()}
