"""Many heads on one point, trained in one pass over its batches."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import cast

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.batches import Batch, Features, Prediction
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import LinearHead, ProbeHead
from foresight_probes.options import TrainingOptions
from foresight_probes.results.scores import Gathered, Scores
from foresight_probes.tasks import Task
from foresight_probes.tasks.kinds.per_sample import PerSample
from foresight_probes.training.batched_linear import BatchedLinear, batch_linears
from foresight_probes.training.rates import StepSize
from foresight_probes.training.runs import BestEpoch, RunSpec
from foresight_probes.training.single_head import SingleHead, first_nonfinite
from foresight_probes.training.task_batch import Answer, TaskBatch
from foresight_probes.training.threads import Threads

WARM_UP = 0.1
"""Share of the steps in which the step size rises."""

_ONE_TOKEN = Grid(1, 1, 1)
_UNIT = StepSize()


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
        members: Sequence[RunSpec],
        tasks: Mapping[str, Task],
        standardization: Standardization,
        options: TrainingOptions,
        *,
        grid: Grid = _ONE_TOKEN,
        advance: Advance = silent,
    ) -> None:
        """`grid` is the largest of the samples' grids (`FeatureData.grid`)."""
        super().__init__()
        self.members, self.tasks, self.options = tuple(members), tasks, options
        self.standardization = standardization
        widths = tuple(len(each.token_mean) for each in (standardization, *standardization.others))
        outputs = {name: task.outputs_for(width=sum(widths), grid=grid) for name, task in tasks.items()}
        self.heads = nn.ModuleList(
            heads.build(
                each.head, width=widths if len(widths) > 1 else widths[0], outputs=outputs[each.task], seed=each.seed
            )
            for each in members
        )
        self.selections = [BestEpoch() for _ in members]
        self.failures: dict[int, str] = {}
        """By place of a member what became of its loss."""
        self.test_scores = [Gathered() for _ in members]
        """Per member the scores of each test sample."""
        self._validation_scores = [Gathered() for _ in members]
        self._active = dict.fromkeys(range(len(members)))
        self._advance = advance
        self._memory: list[Tensor] = []
        self._stacks: dict[tuple[str, str], list[BatchedLinear]] = {}
        """By task and head."""
        self._stack_of: dict[int, BatchedLinear] = {}
        self._alone: dict[int, SingleHead] = {}
        """Heads that are not stacked."""
        self._steps = 0
        self.workers = Threads()
        self.crowded = False
        """Whether batches hold so many tokens that several threads inside of an operation on them pay."""

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        self.standardization = self.standardization.to(self.device)

    def configure_optimizers(self) -> None:
        """Heads have optimisers of their own."""
        self._build_stacks({place: self._rates(place) for place in range(len(self.members))})
        self._alone = {
            place: SingleHead(head, self._rates(place))
            for place, head in enumerate(self.heads)
            if place not in self._stack_of
        }

    def learning_rate(self, place: int) -> float:
        """Peak step size of a member: its own, that of the options, else its head's."""
        own = self.members[place].options(self.options).learning_rate
        return own or self._head(place).learning_rate

    def _rates(self, place: int) -> StepSize:
        step = self.learning_rate(place)
        return StepSize(step, step * self.members[place].options(self.options).weight_decay)

    def _build_stacks(self, rates: Mapping[int, StepSize]) -> None:
        """Those of these members that are linear maps, on the device where they are now."""
        alike: dict[tuple[str, str], dict[int, nn.Linear]] = {}
        for place in rates:
            if (linear := self._linear(place)) is not None:
                alike.setdefault((self.members[place].task, self.members[place].head), {})[place] = linear
        self._stacks = {key: batch_linears(some, rates, self._reads(min(some))) for key, some in alike.items()}
        self._stack_of = {place: stack for stack in self._all_stacks() for place in stack.places}

    def _all_stacks(self) -> list[BatchedLinear]:
        return list(chain(*self._stacks.values()))

    def _linear(self, place: int) -> nn.Linear | None:
        """The one linear map that the head is, if it is one that can be stacked."""
        head, task = self.heads[place], self.tasks[self.members[place].task]
        usual = not task.transforms_batch and not self.standardization.others
        return head.linear if isinstance(head, LinearHead) and usual else None

    def _head(self, place: int) -> ProbeHead:
        return cast(ProbeHead, self.heads[place])

    def _reads(self, place: int) -> str:
        return self._head(place).reads

    def training_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        factor = step_size(self._steps, int(self.trainer.num_training_batches) * self.options.epochs)
        features, asked = self._asked(batch)
        self._learn_alone(asked, factor)
        for wide in (False, True):
            self._learn_stacked(features, asked, factor, wide=wide)
        self._steps += 1
        self._advance(len(batch.rows), batch.size)

    def _learn_stacked(self, features: Features, asked: Mapping[str, TaskBatch], factor: float, *, wide: bool) -> None:
        with self._inside(wide=wide):
            answers = self._stacked_answers(features, asked, wide=wide)
            if kept := self._kept({answer.heads: self._losses(answer) for answer in answers}):
                self.manual_backward(torch.cat(list(kept.values())).sum())
                self._over(lambda stack: stack.learn(factor), self._stacks_in_use(wide=wide), wide=wide)

    def _wide(self, place: int) -> bool:
        """Whether it pays that a head has several threads inside of operations, for what it reads."""
        member = self.members[place]
        return self.crowded and (self._reads(place) == "tokens" or self.tasks[member.task].transforms_batch)

    def _inside(self, *, wide: bool) -> AbstractContextManager[None]:
        return self.workers.inside() if wide else nullcontext()

    def _over(self, work: Callable[[BatchedLinear], None], some: Sequence[BatchedLinear], *, wide: bool) -> None:
        (self.workers.in_turn if wide else self.workers.each)(work, some)

    def _learn_alone(self, asked: Mapping[str, TaskBatch], factor: float) -> None:
        wrong: dict[int, float] = {}

        def learn(place: int) -> None:
            question = asked[self.members[place].task]
            found = self._alone[place].learn(
                question.features, lambda said: question.task.loss(said, question.targets), factor
            )
            if found is not None:
                wrong[place] = found

        self._each_alone(learn, asked)
        for place in sorted(wrong):
            self._fail(place, wrong[place])

    def _each_alone(self, work: Callable[[int], None], asked: Mapping[str, TaskBatch]) -> None:
        """For the heads that are not stacked and have a question: large work in turn, other beside each other."""
        places = [place for place in self._active if place in self._alone and self.members[place].task in asked]
        large = [place for place in places if self._alone[place].large or self._wide(place)]
        self.workers.in_turn(work, large)
        self.workers.each(work, [place for place in places if place not in large])

    def _losses(self, answer: Answer) -> Tensor:
        """[H], of each of the heads."""
        task = self.tasks[answer.task]
        if not isinstance(task, PerSample):
            return task.loss(answer.prediction, answer.targets).view(1)
        losses = task.sample_losses(answer.prediction, answer.truth)
        return losses.view(len(answer.heads), -1).mean(1)

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
                self._validation_scores[place].add(answer.rows, found)

    def _scores(self, answer: Answer, *, whole: bool) -> Iterator[tuple[int, Scores]]:
        """By place the scores of each sample: all that there is to know, or what selection needs."""
        task = self.tasks[answer.task]
        with self._inside(wide=self._wide(answer.heads[0])):
            if isinstance(task, PerSample):
                scores = task.sample_scores(answer.prediction, answer.truth)
            else:
                scores = (task.scores if whole else task.selection_scores)(answer.prediction, answer.targets)
        count = len(answer.rows)
        for number, place in enumerate(answer.heads):
            yield place, scores[number * count : (number + 1) * count]

    def on_validation_epoch_end(self) -> None:
        epoch, values = self.current_epoch + 1, {}
        for place in list(self._active):
            member, best = self.members[place], self.selections[place]
            task = self.tasks[member.task]
            value = task.metrics(self._validation_scores[place].scores).get(task.primary, math.nan)
            values[f"{member}/{task.primary}"] = value
            if value > best.value or not best.epoch:
                if place in self._stack_of:
                    self._stack_of[place].write_back(place)
                weights = {name: weight.detach().clone() for name, weight in self.heads[place].state_dict().items()}
                self.selections[place] = BestEpoch(value if value > -math.inf else -math.inf, epoch, weights)
            elif self.options.patience and epoch - best.epoch >= self.options.patience:
                self._leave_out(place)
            self._validation_scores[place] = Gathered()
        for logger in self.loggers:
            logger.log_metrics(values, step=epoch)

    def on_test_start(self) -> None:
        self._active = dict.fromkeys(place for place, best in enumerate(self.selections) if best.epoch)
        for place in self._active:
            self.heads[place].load_state_dict(self.selections[place].weights)
        self._build_stacks(dict.fromkeys(self._active, _UNIT))

    def test_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        for answer in self._answers(batch):
            for place, found in self._scores(answer, whole=True):
                self.test_scores[place].add(answer.rows, found)

    def _leave_out(self, place: int) -> None:
        del self._active[place]
        if place in self._stack_of:
            self._stack_of[place].leave_out(place)
        if not self._active:
            self.trainer.should_stop = True

    def _stacks_in_use(self, *, wide: bool) -> list[BatchedLinear]:
        """Those with heads that still learn, and for whose operations several threads pay or not."""
        return [stack for stack in self._all_stacks() if stack.places and self._wide(stack.places[0]) == wide]

    def _asked(self, batch: Batch) -> tuple[Features, dict[str, TaskBatch]]:
        """The standardised features of a batch, and by task what it asks."""
        alone = {self.members[place].task for place in self._active if place in self._alone}
        with self._inside(wide=self.crowded):
            features = self.standardization(batch.features, self._memory)
            found = {
                name: TaskBatch.of(batch, features, name, task, tokens=name in alone)
                for name, task in self.tasks.items()
                if any(self.members[place].task == name for place in self._active)
            }
        return features, {name: question for name, question in found.items() if question}

    def _answers(self, batch: Batch) -> list[Answer]:
        """What the members that are still in the bank say of the samples that have a question for their task."""
        features, asked = self._asked(batch)
        predictions: dict[int, Prediction] = {}

        @torch.no_grad()
        def answer(place: int) -> None:
            predictions[place] = self.heads[place](asked[self.members[place].task].features)

        self._each_alone(answer, asked)
        fine = self._finite({place: predictions[place].values for place in sorted(predictions)})
        alone = [
            Answer(name, (place,), predictions[place], asked[name].targets, asked[name].rows)
            for place in sorted(fine)
            for name in (self.members[place].task,)
        ]
        return [*chain.from_iterable(self._stacked_answers(features, asked, wide=w) for w in (False, True)), *alone]

    def _stacked_answers(self, features: Features, asked: Mapping[str, TaskBatch], *, wide: bool) -> Iterator[Answer]:
        """What stacked heads say.

        Where heads read no tokens, predictions have no places, and several are compared with the truth at once.
        """
        in_use = self._stacks_in_use(wide=wide)
        self._over(lambda stack: stack.compute(getattr(features, stack.reads)), in_use, wide=wide)
        for (name, _), several in self._stacks.items():
            some = [stack for stack in several if stack in in_use]
            if name not in asked or not some:
                continue
            question = asked[name]
            places = tuple(chain.from_iterable(stack.places for stack in some))
            each = torch.cat([stack.answers() for stack in some])
            each = each if question.places is None else each[:, question.places]
            if not all(stack.finite for stack in some):
                fine = self._finite(dict(zip(places, each, strict=True)))
                each = each[[place in fine for place in places]]
                places = tuple(place for place in places if place in fine)
            together = isinstance(question.task, PerSample) and some[0].reads == "pooled"
            for group, said in _groups(places, each, together=together):
                prediction = cast(LinearHead, self.heads[group[0]]).as_prediction(said, question.features)
                yield Answer(name, group, prediction, question.targets, question.rows)

    def _finite(self, values: Mapping[int, Tensor]) -> set[int]:
        """Places of those that are finite everywhere; members with others are left out from now on."""
        if not values:
            return set()
        finite = torch.stack([each.isfinite().all() for each in values.values()]).tolist()
        for (place, each), fine in zip(values.items(), finite, strict=True):
            if not fine:
                self._fail(place, cast(float, first_nonfinite(each)))
        return {place for place, fine in zip(values, finite, strict=True) if fine}

    def _fail(self, place: int, value: float) -> None:
        self.failures[place] = f"the loss of {self.members[place]} became {value}; use a smaller learning_rate."
        self._leave_out(place)


def _groups(places: tuple[int, ...], each: Tensor, *, together: bool) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """From [H, B, ...] what one head says after the other, or all of them as [H * B, ...]."""
    if together and places:
        yield places, each.flatten(0, 1)
    else:
        yield from (((place,), said) for place, said in zip(places, each, strict=True))


def step_size(step: int, steps: int) -> float:
    """Factor of the learning rate: a linear rise, then half a cosine down to zero.

    >>> [round(step_size(step, 100), 3) for step in (0, 4, 9, 10, 55, 100)]
    [0.1, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * min(1, (step - rise) / max(1, steps - rise)))) / 2
