"""Training targets in another order, many times over: the numbers that a closed form reaches by chance.

The null distribution of permutation tests (Ojala and Garriga, "Permutation Tests for Studying Classifier Performance",
JMLR 2010). The inputs are as they were, so that all permutations share a factorisation.
"""

import hashlib
from collections.abc import Mapping

from torch import Tensor

from foresight_probes import controls
from foresight_probes.controls.shuffled import Borrowed
from foresight_probes.tasks import Task
from foresight_probes.tasks.kinds.per_sample import PerSample


class Control(controls.Control):
    """Targets of training and of validation, each exchanged among themselves, for ridge regression of a number."""

    copies = 20

    def fits(self, task: Task) -> bool:
        return isinstance(task, PerSample) and not task.plants_answers

    def trains(self, solver: str | None) -> bool:
        """Only ridge regression: others would begin anew with each permutation."""
        return solver == "ridge"

    def targets(self, task: Task, targets: Mapping[int, Tensor], copy: int = 0) -> Mapping[int, Tensor]:  # noqa: ARG002
        split = self.context.split
        donors = {row: row for row in split.test if row in targets}
        for side in ("train", "validation"):
            rows = [row for row in split.rows(side) if row in targets]
            donors |= zip(rows, sorted(rows, key=lambda row: self._hash(copy, row)), strict=True)
        return Borrowed(targets, donors)

    def _hash(self, copy: int, row: int) -> bytes:
        return hashlib.sha256(f"label-shuffle {copy} {self.context.cache.rows[row]['id']}".encode()).digest()
