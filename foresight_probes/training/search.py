"""Training until it has converged, with inputs, step size and weight decay chosen on validation for each run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytorch_lightning.loggers import Logger

from foresight_cache.runtime.progress import Advance, silent
from foresight_probes import heads
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import Source
from foresight_probes.features.standardization import Standardization
from foresight_probes.features.views import PooledView, TokenView, View
from foresight_probes.heads.layers.base import LinearHead, ProbeHead
from foresight_probes.options import TrainingOptions
from foresight_probes.tasks import Task
from foresight_probes.training import trainer
from foresight_probes.training.bank import Bank
from foresight_probes.training.candidates import Candidate, candidates
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.run_spec import RunSpec, build_heads
from foresight_probes.training.started_head import StartedHead, ViewedHead, composed, start_from_identity
from foresight_probes.training.starts import CHANNELS, Starts

FIRST_ROUND = 3
"""Share of the epochs of a round that the first one has, as a divisor."""
MOST_ROUNDS = 4
"""Rounds after which a run that still becomes better is said not to have converged."""
TOLERANCE = 0.002
"""Gain on validation in a round, relative to a value above 1, below which a run has converged."""


@dataclass(slots=True)
class _Group:
    """Candidates that share a view, with the bank that trains them."""

    view: View | None
    pooled: bool
    data: FeatureData
    bank: Bank
    candidates: list[Candidate] = field(default_factory=list)


class Search:
    """Trains all candidates of runs for a while, the best of each run until validation gets no better.

    What a run becomes depends on no other run: candidates that share a view share a bank.
    """

    def __init__(
        self,
        runs: Sequence[RunSpec],
        tasks: Mapping[str, Task],
        data: FeatureData,
        standardization: Standardization,
        options: TrainingOptions,
        *,
        loggers: Sequence[Logger] = (),
        advance: Advance = silent,
    ) -> None:
        self.runs = tuple(runs)
        self.failures: dict[int, str] = {}
        """Failures of runs by index: what became of the losses of all their candidates."""
        self._tasks, self._data, self._standardization, self._options = tasks, data, standardization, options
        self._loggers, self._advance = loggers, advance
        self._starts = Starts(data, standardization, tasks, options)
        self._gains: dict[RunSpec, float] = {}

    def fit(self) -> list[Fitted]:
        """Returns the trained runs in their order; a run whose candidates all failed is in `failures` instead."""
        groups = self._groups()
        self._first_round(groups)
        remaining = set(self.runs)
        for _ in range(MOST_ROUNDS - 1):
            remaining = self._further_round(groups, remaining)
            if not remaining:
                break
        winners = {run: self._ranked(groups, run)[:1] for run in self.runs}
        self._keep(groups, {run: own for run, own in winners.items() if own})
        for group in groups:
            if group.bank.active:
                trainer.test(group.bank, group.data)
        return [self._fitted(*winners[run][0], converged=run not in remaining) for run in self.runs if winners[run]]

    def _first_round(self, groups: Sequence[_Group]) -> None:
        """Evaluates what was solved, then trains all candidates for a part of a round."""
        for group in groups:
            if group.view is not None:
                trainer.validate(group.bank, group.data)
        alone = all(len(self._of(groups, run)) == 1 for run in self.runs)
        if not alone:
            for group in groups:
                group.bank.epochs = max(1, self._options.epochs // FIRST_ROUND)
                trainer.train(group.bank, group.data, self._loggers)
        for index, run in enumerate(self.runs):
            if not self._ranked(groups, run):
                self.failures[index] = self._failure(groups, run)

    def _further_round(self, groups: Sequence[_Group], remaining: set[RunSpec]) -> set[RunSpec]:
        """Trains the best candidates of the remaining runs; returns those that have become better by it."""
        before = {run: self._best_value(groups, run) for run in remaining}
        first = not self._gains
        chosen = {run: self._best_of_each(groups, run) if first else self._ranked(groups, run)[:1] for run in remaining}
        self._keep(groups, chosen)
        for group in groups:
            if group.bank.active:
                group.bank.epochs = self._options.epochs
                trainer.train(group.bank, group.data, self._loggers)
        gains = {run: self._best_value(groups, run) - before[run] for run in remaining}
        self._gains |= gains
        return {run for run in remaining if not gains[run] <= TOLERANCE * max(1.0, abs(before[run]))}

    def _best_value(self, groups: Sequence[_Group], run: RunSpec) -> float:
        ranked = self._ranked(groups, run)
        return ranked[0][0].bank.selections[ranked[0][1]].value if ranked else -math.inf

    def _ranked(self, groups: Sequence[_Group], run: RunSpec) -> list[tuple[_Group, int]]:
        """The candidates of a run that have an evaluated epoch, the best first; of equals the first."""
        own = [(group, index) for group, index in self._of(groups, run) if group.bank.selections[index].weights]
        return sorted(own, key=lambda pair: -pair[0].bank.selections[pair[1]].value)

    def _best_of_each(self, groups: Sequence[_Group], run: RunSpec) -> list[tuple[_Group, int]]:
        """The best candidate of each view: what a view shows may take longer to learn than the first round."""
        best = {id(group): (group, index) for group, index in reversed(self._ranked(groups, run))}
        return list(best.values())

    @staticmethod
    def _of(groups: Sequence[_Group], run: RunSpec) -> list[tuple[_Group, int]]:
        return [(group, index) for group in groups for index, own in enumerate(group.candidates) if own.run == run]

    @staticmethod
    def _keep(groups: Sequence[_Group], chosen: Mapping[RunSpec, Sequence[tuple[_Group, int]]]) -> None:
        for group in groups:
            group.bank.active = {
                index for own in chosen.values() for other, index in own if other is group
            } - group.bank.failures.keys()

    def _failure(self, groups: Sequence[_Group], run: RunSpec) -> str:
        return next(group.bank.failures[index] for group, index in self._of(groups, run))

    def _groups(self) -> list[_Group]:
        """Candidates by view, in the order of the runs."""
        shared: dict[tuple[str, ...], list[Candidate]] = {}
        width = sum(self._data.widths)
        for run in self.runs:
            task = self._tasks[run.task]
            viewed = task.targets_from != "features" and len(self._data.widths) == 1
            for own in candidates(run, task, self._options, width, viewed=viewed):
                key = (run.task, own.inputs, *((run.head,) if own.inputs else ()))
                shared.setdefault(key, []).append(own)
        return [self._group(own) for own in shared.values()]

    def _group(self, own: list[Candidate]) -> _Group:
        first = own[0]
        tasks = {name: self._tasks[name] for name in dict.fromkeys(each.run.task for each in own)}
        if not first.inputs:
            bank = Bank(
                [each.trial for each in own],
                tasks,
                self._standardization,
                self._options,
                grid=self._data.grid,
                advance=self._advance,
            )
            return _Group(None, False, self._data, bank, own)
        view = self._starts.view(first.run.task, first.run.head, first.inputs)
        pooled = heads.load(first.run.head).reads == "pooled"
        source: Source = TokenView(self._data, self._standardization, view)
        if pooled:
            source = PooledView(self._data, self._standardization, view)
        targets = {name: self._data.targets[name] for name in tasks}
        data = FeatureData(source, self._data.split, targets, self._options, tokens=not pooled)
        data.standardization()  # the first pass, which keeps what is kept
        bank = Bank(
            [each.trial for each in own],
            tasks,
            Standardization.identity(view.width),
            self._options,
            built=[self._built(each, view) for each in own],
            advance=self._advance,
        )
        return _Group(view, pooled, data, bank, own)

    def _built(self, own: Candidate, view: View) -> ProbeHead:
        """A head for a view; one that corrects a closed form predicts what that does before it is trained."""
        task = self._tasks[own.run.task]
        outputs = task.outputs_for(width=len(self._standardization.token_mean), grid=self._data.grid)
        corrects = self._starts.corrects(own.run.task, own.run.head)
        inner = heads.build(
            own.run.head,
            width=view.width - view.start,
            outputs=replace(outputs, residual=corrects),
            seed=own.run.seed,
        )
        if isinstance(inner, LinearHead):
            if task.start_forms:
                start_from_identity(inner.linear, inner.linear.out_features)
            return inner
        return StartedHead(inner, outputs, view.start)

    def _fitted(self, group: _Group, index: int, *, converged: bool) -> Fitted:
        own, head, best = group.candidates[index], group.bank.heads[index], group.bank.selections[index]
        assert isinstance(head, ProbeHead)  # noqa: S101 - a ModuleList knows modules only
        if group.view is not None:
            head = self._whole(own, head, group.view, pooled=group.pooled)
        return Fitted(
            run=own.run,
            best=replace(best, weights=head.state_dict()),
            head=head,
            chosen={
                "inputs": own.inputs or CHANNELS,
                "learning_rate": own.trial.learning_rate,
                "weight_decay": own.trial.weight_decay,
                "converged": converged,
            },
            test_scores=group.bank.test_scores[index],
        )

    def _whole(self, own: Candidate, head: ProbeHead, view: View, *, pooled: bool) -> ProbeHead:
        """The head with its view; a linear one becomes one map of the features themselves."""
        if not isinstance(head, LinearHead):
            return ViewedHead(head, view, pooled=pooled).eval()
        (whole,) = build_heads([own.run], self._tasks, self._standardization, self._data.grid)
        assert isinstance(whole, LinearHead)  # noqa: S101 - of the same name
        weight, bias = composed(head.linear.weight.detach().cpu(), head.linear.bias.detach().cpu(), view)
        whole.load_state_dict({"linear.weight": weight, "linear.bias": bias})
        return whole
