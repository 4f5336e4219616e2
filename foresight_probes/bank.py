"""Many heads on one point, trained in one pass over its batches."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from foresight_cache.progress import Advance, silent
from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.answers.separable import Separable
from foresight_probes.batches import Batch, Features, Prediction
from foresight_probes.features import Standardisation
from foresight_probes.learning.members import Member, Selection
from foresight_probes.learning.stacking import Rates, Stack, stacks
from foresight_probes.learning.workers import Workers
from foresight_probes.options import TrainingOptions
from foresight_probes.tasks import Task

WARM_UP = 0.1
"""Share of the steps in which the step size rises."""

_ONE_TOKEN = Grid(1, 1, 1)
_UNIT = Rates()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one head, or several, say of the samples of a batch that have a question for a task."""

    task: str
    places: tuple[int, ...]
    """Of the heads in the bank."""
    prediction: Prediction
    """Of all samples by the first head, then of all by the second, and so on."""
    targets: Sequence[Tensor]
    rows: list[int]
    """Of the cache's sample table, one per sample."""

    @property
    def truth(self) -> Tensor:
        """The targets of a separable task, for one prediction after another."""
        return torch.stack(list(self.targets)).repeat(len(self.places))


class Bank(LightningModule):
    """Heads with parameters of their own that see the same batches.

    The sum of their losses is minimised with AdamW (Adam, after a decay of the weights). Since that works element by
    element and the heads share no parameter, each becomes what it would have become alone, to the last bit on a CPU:
    linear heads that answer for one task are computed together in a way that keeps it so (`stacking`). After every
    epoch each head is evaluated on the validation split and its best weights kept; one that has not become better for
    `patience` epochs, or whose loss is no longer finite, is left out from then on. The test split is seen once, with
    the best weights.
    """

    automatic_optimization = False

    def __init__(
        self,
        members: Sequence[Member],
        tasks: Mapping[str, Task],
        standardisation: Standardisation,
        options: TrainingOptions,
        *,
        grid: Grid = _ONE_TOKEN,
        advance: Advance = silent,
    ) -> None:
        """`grid` is the largest of the samples' grids (`FeatureData.grid`)."""
        super().__init__()
        self.members, self.tasks, self.options = tuple(members), tasks, options
        self.standardisation = standardisation
        widths = tuple(len(each.token_mean) for each in (standardisation, *standardisation.others))
        outputs = {name: task.outputs_for(width=sum(widths), grid=grid) for name, task in tasks.items()}
        self.heads = nn.ModuleList(
            heads.build(
                each.head, width=widths if len(widths) > 1 else widths[0], outputs=outputs[each.task], seed=each.seed
            )
            for each in members
        )
        self.selections = [Selection() for _ in members]
        self.failures: dict[int, str] = {}
        """By place of a member what became of its loss."""
        self.test_scores: list[dict[int, np.ndarray]] = [{} for _ in members]
        """Per member the scores of each test sample, by row of the sample table."""
        self._validation_scores: list[dict[int, np.ndarray]] = [{} for _ in members]
        self._active = dict.fromkeys(range(len(members)))
        self._advance = advance
        self._memory: list[Tensor] = []
        self._stacks: dict[tuple[str, str], list[Stack]] = {}
        """By task and head."""
        self._stack_of: dict[int, Stack] = {}
        self._steps = 0
        self.workers = Workers()

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        self.standardisation = self.standardisation.to(self.device)

    def configure_optimizers(self) -> torch.optim.Optimizer | None:
        """For the heads that are not stacked: stacks have their own."""
        places = range(len(self.members))
        self._stack({place: self._rates(place) for place in places})
        groups: dict[float, list[nn.Parameter]] = {}  # a call costs as much as the arithmetic of many heads
        for place in places:
            if place not in self._stack_of:
                groups.setdefault(self.learning_rate(place), []).extend(self.heads[place].parameters())
        if not groups:
            return None
        parameters = [{"params": some, "lr": rate, "peak": rate} for rate, some in groups.items()]
        return torch.optim.Adam(parameters, fused=self.device.type in ("cpu", "cuda"))

    def learning_rate(self, place: int) -> float:
        """Peak step size of a member: its own, that of the options, else its head's."""
        own = self.members[place].options(self.options).learning_rate
        return own or float(getattr(self.heads[place], "learning_rate"))  # noqa: B009

    def _rates(self, place: int) -> Rates:
        step = self.learning_rate(place)
        return Rates(step, step * self.members[place].options(self.options).weight_decay)

    def _stack(self, rates: Mapping[int, Rates]) -> None:
        """Those of these members that are linear maps, on the device where they are now."""
        alike: dict[tuple[str, str], dict[int, nn.Linear]] = {}
        for place in rates:
            if (linear := self._linear(place)) is not None:
                alike.setdefault((self.members[place].task, self.members[place].head), {})[place] = linear
        self._stacks = {key: stacks(some, rates, self._reads(min(some))) for key, some in alike.items()}
        self._stack_of = {place: stack for stack in self._all_stacks() for place in stack.places}

    def _all_stacks(self) -> list[Stack]:
        return list(chain(*self._stacks.values()))

    def _linear(self, place: int) -> nn.Linear | None:
        """The one linear map that the head is, if it is one that can be stacked."""
        head, task = self.heads[place], self.tasks[self.members[place].task]
        linear = getattr(head, "linear", None)
        alone = linear is not None and linear.bias is not None and len(list(head.parameters())) == 2
        usual = hasattr(head, "shape") and not task.prepares and not self.standardisation.others
        return linear if alone and usual else None

    def _reads(self, place: int) -> str:
        return str(getattr(self.heads[place], "reads", "tokens"))

    def _decay(self, place: int, factor: float) -> None:
        """Decoupled decay of the weights of a head that is not stacked; see `Rates` for biases."""
        shrunk = 1 - factor * self._rates(place).decay
        weights = [parameter.data for parameter in self.heads[place].parameters() if parameter.ndim > 1]
        torch._foreach_mul_(weights, shrunk)

    def training_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        losses = {answer.places: self._losses(answer) for answer in self._answers(batch)}
        if kept := self._kept(losses):
            optimiser = cast(LightningOptimizer, self.optimizers())
            optimiser.zero_grad()
            self.manual_backward(torch.cat(list(kept.values())).sum())
            factor = step_size(self._steps, int(self.trainer.num_training_batches) * self.options.epochs)
            self.workers.each(lambda stack: stack.learn(factor), self._stacks_in_use())
            if others := [place for place in chain(*kept) if place not in self._stack_of]:
                for group in optimiser.param_groups:
                    group["lr"] = group["peak"] * factor
                for place in others:
                    self._decay(place, factor)
                optimiser.step()
        self._steps += 1
        self._advance(len(batch.rows), batch.size)

    def _losses(self, answer: "_Answer") -> Tensor:
        """[H], of each of the heads."""
        task = self.tasks[answer.task]
        if not isinstance(task, Separable):
            return task.loss(answer.prediction, answer.targets).view(1)
        losses = task.sample_losses(answer.prediction, answer.truth)
        return losses.view(len(answer.places), -1).mean(1)

    def _kept(self, losses: Mapping[tuple[int, ...], Tensor]) -> dict[tuple[int, ...], Tensor]:
        """Those that are finite; members with others are left out from now on."""
        if not losses or torch.cat(list(losses.values())).isfinite().all():
            return dict(losses)
        each_loss = {place: loss for places, each in losses.items() for place, loss in zip(places, each, strict=True)}
        fine = self._finite(each_loss)
        kept = {}
        for places, each in losses.items():
            if chosen := [number for number, place in enumerate(places) if place in fine]:
                kept[tuple(places[number] for number in chosen)] = each[chosen]
        return kept

    def validation_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        for answer in self._answers(batch):
            for place, found in self._scores(answer, whole=False):
                self._validation_scores[place].update(zip(answer.rows, found, strict=True))

    def _scores(self, answer: "_Answer", *, whole: bool) -> Iterator[tuple[int, list[np.ndarray]]]:
        """By place the scores of each sample: all that there is to know, or what selection needs."""
        task = self.tasks[answer.task]
        if isinstance(task, Separable):
            scores = task.sample_scores(answer.prediction, answer.truth)
        else:
            scores = (task.scores if whole else task.selection_scores)(answer.prediction, answer.targets)
        count = len(answer.rows)
        for number, place in enumerate(answer.places):
            yield place, scores[number * count : (number + 1) * count]

    def on_validation_epoch_end(self) -> None:
        epoch, values = self.current_epoch + 1, {}
        for place in list(self._active):
            member, best = self.members[place], self.selections[place]
            task = self.tasks[member.task]
            value = task.metrics(list(self._validation_scores[place].values())).get(task.primary, math.nan)
            values[f"{member}/{task.primary}"] = value
            if value > best.value or not best.epoch:
                if place in self._stack_of:
                    self._stack_of[place].write_back(place)
                weights = {name: weight.detach().clone() for name, weight in self.heads[place].state_dict().items()}
                self.selections[place] = Selection(value if value > -math.inf else -math.inf, epoch, weights)
            elif self.options.patience and epoch - best.epoch >= self.options.patience:
                self._leave_out(place)
            self._validation_scores[place].clear()
        for logger in self.loggers:
            logger.log_metrics(values, step=epoch)

    def on_test_start(self) -> None:
        self._active = dict.fromkeys(place for place, best in enumerate(self.selections) if best.epoch)
        for place in self._active:
            self.heads[place].load_state_dict(self.selections[place].weights)
        self._stack(dict.fromkeys(self._active, _UNIT))

    def test_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        for answer in self._answers(batch):
            for place, found in self._scores(answer, whole=True):
                self.test_scores[place].update(zip(answer.rows, found, strict=True))

    def _leave_out(self, place: int) -> None:
        del self._active[place]
        if place in self._stack_of:
            self._stack_of[place].leave_out(place)
        if not self._active:
            self.trainer.should_stop = True

    def _stacks_in_use(self) -> list[Stack]:
        return [stack for stack in self._all_stacks() if stack.places]

    def _answers(self, batch: Batch) -> list["_Answer"]:
        """What the members that are still in the bank say of the samples that have a question for their task."""
        features = self.standardisation(batch.features, self._memory)
        self.workers.each(lambda stack: stack.compute(getattr(features, stack.reads)), self._stacks_in_use())
        without_tokens = replace(features, tokens=features.tokens[:, :0], others=())
        answers: list[_Answer] = []
        alone: list[_Answer] = []
        for name, task in self.tasks.items():
            asked = [place for place, target in enumerate(batch.targets[name]) if target is not None]
            if not asked:
                continue
            whole = len(asked) == len(batch.rows)
            rows = [batch.rows[place] for place in asked]
            targets: Sequence[Tensor] = [target for target in batch.targets[name] if target is not None]
            shaped = without_tokens if whole else without_tokens.select(asked)
            for places, said in self._stacked(task, name, asked):
                shape = cast(Callable[[Tensor, Features], Prediction], self.heads[places[0]].shape)
                answers.append(_Answer(name, places, shape(said, shaped), targets, rows))
            rest = [p for p in self._active if p not in self._stack_of and self.members[p].task == name]
            if rest:
                chosen = features if whole else features.select(asked)
                if task.prepares:
                    chosen, targets = task.prepare(chosen, targets)
                alone += [_Answer(name, (place,), self.heads[place](chosen), targets, rows) for place in rest]
        fine = self._finite({answer.places[0]: answer.prediction.values for answer in alone})
        return answers + [answer for answer in alone if answer.places[0] in fine]

    def _stacked(self, task: Task, name: str, asked: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Tensor]]:
        """What stacked heads say of these samples of the batch: [B, columns], or [B, N, columns] of tokens.

        Where heads read no tokens, predictions have no places, and several are compared with the truth at once.
        """
        for (owner, _), several in self._stacks.items():
            some = [stack for stack in several if stack.places]
            if owner != name or not some:
                continue
            places = tuple(chain.from_iterable(stack.places for stack in some))
            each = torch.cat([stack.answers() for stack in some])
            each = each if len(asked) == each.shape[1] else each[:, asked]
            if not all(stack.finite for stack in some):
                fine = self._finite(dict(zip(places, each, strict=True)))
                each = each[[place in fine for place in places]]
                places = tuple(place for place in places if place in fine)
            if isinstance(task, Separable) and some[0].reads == "pooled" and places:
                yield places, each.flatten(0, 1)
            else:
                yield from (((place,), said) for place, said in zip(places, each, strict=True))

    def _finite(self, values: Mapping[int, Tensor]) -> set[int]:
        """Places of those that are finite everywhere; members with others are left out from now on."""
        if not values:
            return set()
        finite = torch.stack([each.isfinite().all() for each in values.values()]).tolist()
        for (place, each), fine in zip(values.items(), finite, strict=True):
            if not fine:
                wrong = each[~each.isfinite()].flatten()[0].item()
                self.failures[place] = f"the loss of {self.members[place]} became {wrong}; use a smaller learning_rate."
                self._leave_out(place)
        return {place for place, fine in zip(values, finite, strict=True) if fine}


def step_size(step: int, steps: int) -> float:
    """Factor of the learning rate: a linear rise, then half a cosine down to zero.

    >>> [round(step_size(step, 100), 3) for step in (0, 4, 9, 10, 55, 100)]
    [0.1, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * min(1, (step - rise) / max(1, steps - rise)))) / 2
