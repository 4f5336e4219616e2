"""Many heads on one point, trained in one pass over its batches."""

import copy
import logging
import math
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from foresight_cache.errors import Interrupted, ProbeError, UsageError
from foresight_cache.progress import Advance, silent
from foresight_probes import heads
from foresight_probes.batches import Batch, Features, Prediction
from foresight_probes.features import FeatureData, Standardisation
from foresight_probes.options import TrainingOptions
from foresight_probes.tasks import Task

WARM_UP = 0.1
"""Share of the steps in which the step size rises."""

SMALL_BATCH = 16 * 1024**2
"""Bytes of features in a batch below which one thread is as fast as several."""


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a bank."""

    task: str
    head: str
    seed: int

    def __str__(self) -> str:
        return f"{self.task}/{self.head}-seed{self.seed}"


@dataclass(slots=True)
class Selection:
    """A member's best epoch so far, by the primary metric on the validation split."""

    value: float = -math.inf
    epoch: int = -1
    """Counted from 1."""
    weights: Mapping[str, Tensor] = field(default_factory=dict)


class Bank(LightningModule):
    """Heads with parameters of their own that see the same batches.

    The sum of their losses is minimised with one AdamW. Since it works element by element and the heads share no
    parameter, each becomes what it would have become alone. After every epoch each head is evaluated on the
    validation split and its best weights kept; the test split is seen once, with those.
    """

    def __init__(
        self,
        members: Sequence[Member],
        tasks: Mapping[str, Task],
        standardisation: Standardisation,
        options: TrainingOptions,
        *,
        advance: Advance = silent,
    ) -> None:
        super().__init__()
        self.members, self.tasks, self.options = tuple(members), tasks, options
        self.standardisation = standardisation
        width = len(standardisation.token_mean)
        self.heads = nn.ModuleList(
            heads.build(each.head, width=width, outputs=tasks[each.task].outputs, seed=each.seed) for each in members
        )
        self.selections = [Selection() for _ in members]
        self.test_scores: list[dict[int, np.ndarray]] = [{} for _ in members]
        """Per member the scores of each test sample, by row of the sample table."""
        self._validation_scores: list[dict[int, np.ndarray]] = [{} for _ in members]
        self._advance = advance

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        self.standardisation = self.standardisation.to(self.device)

    def configure_optimizers(self) -> Any:
        groups = [group for place in range(len(self.members)) for group in self._groups(place)]
        optimiser = torch.optim.AdamW(groups)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: step_size(step, steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def learning_rate(self, place: int) -> float:
        """Peak step size of a member: that of the options, else the head's own."""
        return self.options.learning_rate or float(getattr(self.heads[place], "learning_rate"))  # noqa: B009

    def _groups(self, place: int) -> list[dict[str, Any]]:
        """A head's weights, which decay, and its biases, which do not: the best constant answer must stay in reach."""
        rate, parameters = self.learning_rate(place), list(self.heads[place].parameters())
        weights = [parameter for parameter in parameters if parameter.ndim > 1]
        biases = [parameter for parameter in parameters if parameter.ndim <= 1]
        return [
            {"params": weights, "lr": rate, "weight_decay": self.options.weight_decay},
            {"params": biases, "lr": rate, "weight_decay": 0.0},
        ]

    def training_step(self, batch: Batch, number: int) -> Tensor | None:  # noqa: ARG002
        features = self.standardisation(batch.features)
        losses = []
        for member, head in zip(self.members, self.heads, strict=True):
            rows, targets = _asked(batch, member.task)
            if rows:
                loss = self.tasks[member.task].loss(_predict(head, features, rows), targets)
                if not torch.isfinite(loss):
                    raise ProbeError(f"the loss of {member} became {loss.item()}; use a smaller learning_rate.")
                losses.append(loss)
        self._advance(len(batch.rows), batch.size)
        return torch.stack(losses).sum() if losses else None

    def validation_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        self._evaluate(batch, self._validation_scores)

    def on_validation_epoch_end(self) -> None:
        for place, (member, head) in enumerate(zip(self.members, self.heads, strict=True)):
            task, best = self.tasks[member.task], self.selections[place]
            value = task.metrics(list(self._validation_scores[place].values()))[task.primary]
            if value > best.value:
                weights = copy.deepcopy(head.state_dict())
                self.selections[place] = Selection(value, self.current_epoch + 1, weights)
            self._validation_scores[place].clear()

    def on_test_start(self) -> None:
        for head, best in zip(self.heads, self.selections, strict=True):
            head.load_state_dict(best.weights)

    def test_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        self._evaluate(batch, self.test_scores)

    def _evaluate(self, batch: Batch, into: list[dict[int, np.ndarray]]) -> None:
        features = self.standardisation(batch.features)
        for member, head, scores in zip(self.members, self.heads, into, strict=True):
            rows, targets = _asked(batch, member.task)
            if rows:
                found = self.tasks[member.task].scores(_predict(head, features, rows), targets)
                scores.update(zip((batch.rows[row] for row in rows), found, strict=True))


def fit(bank: Bank, data: FeatureData) -> None:
    """Trains all heads, selects, and evaluates the test split once. Prints nothing and writes no file.

    Raises `Interrupted` on Ctrl-C, `ProbeError` where a loss is no longer finite, and `UsageError` for a device that
    is not there.
    """
    _require_device(bank.options.device)
    with _quiet(), _threads(data.size_of_batch), tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator=bank.options.device,
            devices=1,
            max_epochs=bank.options.epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(bank, datamodule=data)
            trainer.test(bank, datamodule=data, verbose=False)
        except SystemExit as error:  # how Lightning answers Ctrl-C, after it has made SIGINT ignored
            raise Interrupted(
                f"interrupted while training on {data.source.name}; finished runs are kept, run it again to go on."
            ) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)


def _require_device(name: str) -> None:
    absent = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    if absent.get(name):
        raise UsageError(f"device is {name!r}, but torch finds none here; use 'auto' or 'cpu'.")


@contextmanager
def _threads(size: int) -> Iterator[None]:
    """One thread for small batches: several only wait for each other, many times longer on a busy machine."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1 if size < SMALL_BATCH else usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences what Lightning says of devices, workers and intervals, none of which is news to the user."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(level)


def step_size(step: int, steps: int) -> float:
    """Factor of the learning rate: a linear rise, then half a cosine down to zero.

    >>> [round(step_size(step, 100), 3) for step in (0, 4, 9, 10, 55, 100)]
    [0.1, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * min(1, (step - rise) / max(1, steps - rise)))) / 2


def _asked(batch: Batch, task: str) -> tuple[list[int], list[Tensor]]:
    """Places in the batch that have a question for the task, and their targets."""
    asked = [(row, target) for row, target in enumerate(batch.targets[task]) if target is not None]
    return [row for row, _ in asked], [target for _, target in asked]


def _predict(head: nn.Module, features: Features, rows: list[int]) -> Prediction:
    chosen = features if len(rows) == len(features.tokens) else features.select(rows)
    prediction: Prediction = head(chosen)
    return prediction
