"""A head that cannot share a matrix with others: it learns by itself, with an optimiser of its own."""

import torch
from torch import nn

from foresight_probes.training.learner import Answers, first_nonfinite
from foresight_probes.training.step_sizes import StepSize
from foresight_probes.training.task_batch import Answer, TaskBatch

LARGE = 2_000_000
"""Parameters from which on threads inside of torch's operations pay, and not beside each other."""


class SingleHead:
    """A head and its AdamW; a `Learner`."""

    selects_tokens = True

    def __init__(self, index: int, head: nn.Module, step_size: StepSize, *, task: str, threaded: bool) -> None:
        """Takes a head, by its index in the bank, on the device where it will stay."""
        self.task = task
        self._index, self._head, self._step_size = index, head, step_size
        parameters = list(head.parameters())
        self.threaded = threaded or sum(parameter.numel() for parameter in parameters) >= LARGE
        self._decaying = [parameter.data for parameter in parameters if parameter.ndim > 1]
        self._optimiser = torch.optim.Adam(parameters, fused=parameters[0].device.type in ("cpu", "cuda"))

    def answers(self, batch: TaskBatch) -> Answers:
        prediction = self._head(batch.features)
        nonfinite = first_nonfinite(prediction.values)
        if nonfinite is not None:
            return Answers([], {self._index: nonfinite})
        return Answers([Answer(batch, (self._index,), prediction)], {})

    def learn(self, batch: TaskBatch, factor: float) -> dict[int, float]:
        answers, failed = self.answers(batch)
        for answer in answers:
            losses = answer.losses()
            nonfinite = first_nonfinite(losses)
            if nonfinite is not None:
                return {self._index: nonfinite}
            self._optimiser.zero_grad()
            torch.autograd.backward(losses.sum())
            self._step(factor)
        return failed

    def _step(self, factor: float) -> None:
        torch._foreach_mul_(self._decaying, 1 - factor * self._step_size.decay)
        for group in self._optimiser.param_groups:
            group["lr"] = factor * self._step_size.peak
        self._optimiser.step()

    def leave_out(self, index: int) -> None:  # noqa: ARG002 - it has one run
        self._optimiser.state.clear()

    def write_back(self, index: int) -> None:
        """Does nothing: the head's weights are where it learns."""
