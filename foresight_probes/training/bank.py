"""Many heads on one point, trained in one pass over its batches."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.batches import Batch
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import LinearHead, ProbeHead
from foresight_probes.options import TrainingOptions
from foresight_probes.results.scores import Gathered
from foresight_probes.tasks import Task
from foresight_probes.training.batched_linear import BatchedLinear
from foresight_probes.training.learner import Learner
from foresight_probes.training.run_spec import BestEpoch, RunSpec, build_heads
from foresight_probes.training.single_head import SingleHead
from foresight_probes.training.step_sizes import StepSize, warmup_cosine
from foresight_probes.training.task_batch import Answer, TaskBatch
from foresight_probes.training.threads import Threads

_ONE_TOKEN = Grid(1, 1, 1)


class Bank(LightningModule):
    """Heads with parameters of their own that see the same batches.

    The sum of their losses is minimised with AdamW (Adam, after a decay of the weights). Since that works element by
    element and the heads share no parameter, each becomes what it would have become alone, to the last bit on a CPU:
    linear heads for one task are computed together in a way that keeps it so (`batched_linear`). After every epoch
    each head is evaluated on the validation split and its best weights kept; one that has not become better for
    `patience` epochs, or whose loss is no longer finite, is left out from then on. The test split is seen once, with
    the best weights.
    """

    automatic_optimization = False

    def __init__(
        self,
        runs: Sequence[RunSpec],
        tasks: Mapping[str, Task],
        standardization: Standardization,
        options: TrainingOptions,
        *,
        grid: Grid = _ONE_TOKEN,
        built: Sequence[ProbeHead] | None = None,
        names: Sequence[str] | None = None,
        advance: Advance = silent,
    ) -> None:
        """Takes heads as they are `built`, or builds them for `grid`, the largest of the samples' grids.

        `names` are those of the runs in logs and errors; None for their own.
        """
        super().__init__()
        self.runs, self.tasks, self.options = tuple(runs), tasks, options
        self.standardization = standardization
        self.heads = nn.ModuleList(build_heads(runs, tasks, standardization, grid) if built is None else built)
        self.active = set(range(len(runs)))
        """Indices of the runs that take part in the next round of training."""
        self.epochs = options.epochs
        """Epochs of a round."""
        self.selections = [BestEpoch() for _ in runs]
        self.failures: dict[int, str] = {}
        """Failures of runs by index: what became of their losses."""
        self.test_scores = [Gathered() for _ in runs]
        """Scores of the test samples for each run."""
        self.threads = Threads()
        self.crowded = False
        """True where batches hold so many tokens that several threads inside of an operation on them pay."""
        self._validation_scores = [Gathered() for _ in runs]
        self._learners: dict[int, Learner] = {}
        """Learners by index, in this order, of the runs that have not been left out."""
        self._names = list(map(str, runs)) if names is None else names
        self._advance = advance
        self._memory: list[Tensor] = []
        self._steps = 0
        self._epochs_before = [0 for _ in runs]
        """Epochs of the rounds that a run has taken part in."""

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        self.standardization = self.standardization.to(self.device)

    def configure_optimizers(self) -> None:
        """Makes the learners, which have optimisers of their own, with the best weights so far."""
        self._steps = 0
        self._load_best()
        self._start({index: self.runs[index].step_size(self.options) for index in sorted(self.active)})

    def on_train_end(self) -> None:
        for index in self.active:
            self._epochs_before[index] += self.epochs

    def training_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        factor = warmup_cosine(self._steps, int(self.trainer.num_training_batches) * self.epochs)
        task_batches = self._task_batches(batch)
        nonfinite: dict[int, float] = {}

        def learn(learner: Learner) -> None:
            nonfinite.update(learner.learn(task_batches[learner.task], factor))

        self._share_out(learn, task_batches)
        self._fail(nonfinite)
        self._steps += 1
        self._advance(len(batch.rows), batch.size)

    def validation_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        self._score(batch, self._validation_scores, for_selection=True)

    def on_validation_start(self) -> None:
        """Lets heads be evaluated as they are, where they are not being trained."""
        if self._as_they_are():
            self._start(dict.fromkeys(sorted(self.active), StepSize()))

    def _as_they_are(self) -> bool:
        """True where heads are evaluated and not trained: in training too, the trainer's stage is to validate."""
        return self.trainer.state.fn == TrainerFn.VALIDATING

    def on_validation_epoch_end(self) -> None:
        values: dict[int, dict[str, float]] = {}
        for index in list(self._learners):
            task = self.tasks[self.runs[index].task]
            epoch = 0 if self._as_they_are() else self._epochs_before[index] + self.current_epoch + 1
            scores = self._validation_scores[index]
            value = task.selection_value(scores.scores)
            values.setdefault(epoch, {})[f"{self._names[index]}/{task.primary}"] = value
            self._select(index, value, epoch, scores)
            self._validation_scores[index] = Gathered()
        for logger in self.loggers:
            for epoch, own in values.items():
                logger.log_metrics(own, step=epoch)

    def on_test_start(self) -> None:
        self._load_best()
        selected = [index for index, best in enumerate(self.selections) if best.weights and index in self.active]
        self._start(dict.fromkeys(selected, StepSize()))

    def _load_best(self) -> None:
        for head, best in zip(self.heads, self.selections, strict=True):
            if best.weights:
                head.load_state_dict(best.weights)

    def test_step(self, batch: Batch, number: int) -> None:  # noqa: ARG002
        self._score(batch, self.test_scores, for_selection=False)

    def _start(self, step_sizes: Mapping[int, StepSize]) -> None:
        """Makes learners of the heads at these indices, with their weights as they are now."""
        learners: dict[int, Learner] = {}
        alike: dict[tuple[str, str], list[int]] = {}
        for index, step_size in step_sizes.items():
            run, head = self.runs[index], self.heads[index]
            if self._is_batched(index):
                alike.setdefault((run.task, run.head), []).append(index)
            else:
                learners[index] = SingleHead(index, head, step_size, task=run.task, threaded=self._is_threaded(index))
        for (task, head_name), indices in alike.items():
            learner = BatchedLinear(
                {index: cast(LinearHead, self.heads[index]) for index in indices},
                step_sizes,
                task=task,
                reads=heads.load(head_name).reads,
                threaded=self._is_threaded(indices[0]),
            )
            learners |= dict.fromkeys(indices, learner)
        self._learners = dict(sorted(learners.items()))

    def _is_batched(self, index: int) -> bool:
        """True where the head is a linear map of the batch as all tasks see it."""
        changed = self.tasks[self.runs[index].task].transforms_batch or self.standardization.others
        head = self.heads[index]
        return isinstance(head, LinearHead) and not head.rearranges and not changed

    def _is_threaded(self, index: int) -> bool:
        """True where several threads inside of operations pay for what the head reads."""
        run = self.runs[index]
        return self.crowded and (heads.reads_tokens(run.head) or self.tasks[run.task].transforms_batch)

    def _inside(self, *, threaded: bool) -> AbstractContextManager[None]:
        return self.threads.inside() if threaded else nullcontext()

    def _task_batches(self, batch: Batch) -> dict[str, TaskBatch]:
        """Returns, for each task with a run that has not been left out, its part of the batch where it has one."""
        learners = set(self._learners.values())
        active = {learner.task for learner in learners}
        selecting = {learner.task for learner in learners if learner.selects_tokens}
        with self._inside(threaded=self.crowded):
            features = self.standardization(batch.features, self._memory)
            parts = {
                name: TaskBatch.select(batch, features, name, task, tokens=name in selecting)
                for name, task in self.tasks.items()
                if name in active
            }
        return {name: part for name, part in parts.items() if part}

    def _share_out(self, work: Callable[[Learner], None], tasks: Iterable[str]) -> None:
        """Does work for all learners of these tasks: what is threaded in turn, the rest beside each other."""
        learners = [learner for learner in dict.fromkeys(self._learners.values()) if learner.task in tasks]
        self.threads.in_turn(work, [learner for learner in learners if learner.threaded])
        self.threads.side_by_side(work, [learner for learner in learners if not learner.threaded])

    def _answers(self, task_batches: Mapping[str, TaskBatch]) -> list[Answer]:
        """Answers of all runs that have not been left out; those whose answers are not finite are left out now."""
        answers: list[Answer] = []
        nonfinite: dict[int, float] = {}

        @torch.no_grad()
        def answer(learner: Learner) -> None:
            finite, failed = learner.answers(task_batches[learner.task])
            answers.extend(finite)
            nonfinite.update(failed)

        self._share_out(answer, task_batches)
        self._fail(nonfinite)
        return answers

    def _score(self, batch: Batch, scores: Sequence[Gathered], *, for_selection: bool) -> None:
        for answer in self._answers(self._task_batches(batch)):
            with self._inside(threaded=self._is_threaded(answer.runs[0])):
                for index, run_scores in answer.scores(for_selection=for_selection):
                    scores[index].add(answer.batch.rows, run_scores)

    def _select(self, index: int, value: float, epoch: int, scores: Gathered) -> None:
        """Keeps the weights of the best epoch, and leaves out a run that has lost patience."""
        best = self.selections[index]
        if value > best.value or not best.weights:
            self._learners[index].write_back(index)
            weights = {name: weight.detach().clone() for name, weight in self.heads[index].state_dict().items()}
            self.selections[index] = BestEpoch(value if value > -math.inf else -math.inf, epoch, weights, scores=scores)
        elif self.options.patience and epoch - best.epoch >= self.options.patience:
            self._leave_out(index)

    def _fail(self, nonfinite: Mapping[int, float]) -> None:
        for index, value in sorted(nonfinite.items()):
            self.failures[index] = f"the loss of {self._names[index]} became {value}; use a smaller learning_rate"
            self._leave_out(index)

    def _leave_out(self, index: int) -> None:
        self._learners.pop(index).leave_out(index)
        if not self._learners:
            self.trainer.should_stop = True
