"""The protocol by which a bank trains a single head and many linear heads alike."""

from typing import NamedTuple, Protocol

from torch import Tensor

from foresight_probes.training.task_batch import Answer, TaskBatch


class Answers(NamedTuple):
    """Answers of runs to a batch, and the runs that have none because theirs are not finite."""

    finite: list[Answer]
    nonfinite: dict[int, float]
    """One such number for each of these runs, by its index in the bank."""


class Learner(Protocol):
    """One run of a bank, or several for the same task, with their weights and their optimiser."""

    task: str
    selects_tokens: bool
    """True where it reads the tokens of `TaskBatch.features`, rather than those of `TaskBatch.whole` alone."""
    threaded: bool
    """True where several threads inside of each of its operations pay."""

    def answers(self, batch: TaskBatch) -> Answers:
        """Returns predictions of all its runs that have not been left out."""

    def learn(self, batch: TaskBatch, factor: float) -> dict[int, float]:
        """Makes one step of AdamW, its size this share of the peak.

        Returns, by index, runs whose answers or losses are not finite, each with such a number; the bank leaves them
        out.
        """

    def leave_out(self, index: int) -> None:
        """Ends the training of a run; its answers are no longer computed, or no longer returned."""

    def write_back(self, index: int) -> None:
        """Copies the weights of a run that was not left out into its head, where they live elsewhere."""


def first_nonfinite(values: Tensor) -> float | None:
    """Returns the first number that is not finite; None where all are.

    >>> import torch
    >>> first_nonfinite(torch.tensor([1.0, -torch.inf, torch.nan]))
    -inf
    """
    finite = values.detach().isfinite()
    return None if finite.all() else float(values.detach()[~finite].flatten()[0])
