"""Training until it has converged, with inputs, step size and weight decay chosen on validation for each run."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytorch_lightning.loggers import Logger

from foresight_cache.runtime.progress import Advance, silent
from foresight_probes import heads
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import Source
from foresight_probes.features.standardization import Standardization
from foresight_probes.features.views import CHANNELS, PooledView, TokenView, View
from foresight_probes.heads.layers.base import LinearHead, ProbeHead
from foresight_probes.options import TrainingOptions
from foresight_probes.tasks import Task
from foresight_probes.training import trainer
from foresight_probes.training.bank import Bank
from foresight_probes.training.candidates import Candidate, grouped
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.run_spec import RunSpec, build_heads
from foresight_probes.training.started_head import StartedHead, ViewedHead, composed, start_from_identity
from foresight_probes.training.starts import Starts

FIRST_ROUND = 3
"""Share of the epochs of a round that the first one has, as a divisor."""
MOST_ROUNDS = 6
"""Rounds after which a run that still becomes better is said not to have converged."""
TOLERANCE = 0.002
"""Gain on validation in a round, relative to a value above 1, below which a run has converged."""


def most_epochs(
    runs: Sequence[RunSpec], tasks: Mapping[str, Task], options: TrainingOptions, widths: Sequence[int]
) -> int:
    """Returns how many passes over the training split a `Search` on points of these widths makes at most."""
    count, alike = 0, dict[tuple[str, ...], list[list[Candidate]]]()
    for own in grouped(runs, tasks, options, widths):
        alike.setdefault((own[0].run.task, own[0].run.head if own[0].inputs else ""), []).append(own)
    for groups in alike.values():
        candidates = Counter(candidate.run for group in groups for candidate in group)
        first = sum(any(candidates[candidate.run] > 1 for candidate in group) for group in groups)
        last = min(len(groups), len(candidates)) * (MOST_ROUNDS - 2)
        count += first * _first_epochs(options) + (len(groups) + last) * options.epochs
    return count


def _first_epochs(options: TrainingOptions) -> int:
    return max(1, options.epochs // FIRST_ROUND)


def _settled(before: float, after: float) -> bool:
    return after - before <= TOLERANCE * max(1.0, abs(after))


@dataclass(slots=True)
class _Group:
    """Candidates that share a view, with the bank that trains them."""

    view: View | None
    pooled: bool
    data: FeatureData
    bank: Bank
    candidates: list[Candidate] = field(default_factory=list)


def _is_sound(candidate: tuple[_Group, int]) -> bool:
    """True for a candidate, by its group and its index there, whose loss has always been finite."""
    group, index = candidate
    return index not in group.bank.failures


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
        """Failures of runs by index, all of whose candidates failed: what became of the loss of one."""
        self._tasks, self._data, self._standardization, self._options = tasks, data, standardization, options
        self._loggers, self._advance = loggers, advance
        self._starts = Starts(data, standardization, tasks, options)

    def fit(self) -> list[Fitted]:
        """Returns the trained runs in their order; a run whose candidates all failed is in `failures` instead."""
        groups = [self._group(own) for own in grouped(self.runs, self._tasks, self._options, self._data.widths)]
        self._first_round(groups)
        remaining = set(self.runs)
        for number in range(MOST_ROUNDS - 1):
            remaining = self._further_round(groups, remaining, first=number == 0)
        winners = {run: self._ranked(groups, run)[:1] for run in self.runs}
        self._keep(groups, winners)
        for group in groups:
            if group.bank.active:
                trainer.test(group.bank, group.data)
        self.failures = {
            place: self._failure(groups, run)
            for place, run in enumerate(self.runs)
            if not winners[run] or not all(map(_is_sound, winners[run]))
        }
        sound = [run for place, run in enumerate(self.runs) if place not in self.failures]
        return [self._fitted(*winners[run][0], converged=run not in remaining) for run in sound]

    def _first_round(self, groups: Sequence[_Group]) -> None:
        """Evaluates what was solved, then trains the candidates of runs that have several for a part of a round."""
        for group in groups:
            if group.view is not None:
                trainer.validate(group.bank, group.data)
        ranked = {run: self._ranked(groups, run) for run in self.runs}
        self._train(groups, {run: own for run, own in ranked.items() if len(own) > 1}, _first_epochs(self._options))

    def _further_round(self, groups: Sequence[_Group], remaining: set[RunSpec], *, first: bool) -> set[RunSpec]:
        """Trains the best candidates of the remaining runs; returns those that have not converged by it."""
        before = {run: self._best_value(groups, run) for run in remaining}
        chosen = {run: self._best_of_each(groups, run) if first else self._ranked(groups, run)[:1] for run in remaining}
        self._train(groups, chosen, self._options.epochs)
        return {
            run
            for run in remaining
            if not all(map(_is_sound, chosen[run])) or not _settled(before[run], self._best_value(groups, run))
        }

    def _train(
        self, groups: Sequence[_Group], chosen: Mapping[RunSpec, Sequence[tuple[_Group, int]]], epochs: int
    ) -> None:
        self._keep(groups, chosen)
        for group in groups:
            if group.bank.active:
                group.bank.epochs = epochs
                trainer.train(group.bank, group.data, self._loggers)

    def _best_value(self, groups: Sequence[_Group], run: RunSpec) -> float:
        return max(
            (group.bank.selections[index].value for group, index in self._ranked(groups, run)), default=-math.inf
        )

    def _ranked(self, groups: Sequence[_Group], run: RunSpec) -> list[tuple[_Group, int]]:
        """The candidates of a run that have not failed, the best first; of equals the first."""
        own = [pair for pair in self._of(groups, run) if _is_sound(pair)]
        return sorted(own, key=lambda pair: -pair[0].bank.selections[pair[1]].value)

    def _best_of_each(self, groups: Sequence[_Group], run: RunSpec) -> list[tuple[_Group, int]]:
        """The best candidate of each view: what a view shows may take longer to learn than the first round.

        Of a view of means, where a round costs little, the best of each step size: until something is learned, the
        smallest does the least harm.
        """
        by_rate = heads.load(run.head).reads == "pooled" and not heads.is_linear_head(run.head)
        ranked = [(own, own[0].candidates[own[1]].trial.learning_rate) for own in self._ranked(groups, run)]
        best = {(id(own[0]), rate if by_rate else None): own for own, rate in reversed(ranked)}
        return list(best.values())

    @staticmethod
    def _of(groups: Sequence[_Group], run: RunSpec) -> list[tuple[_Group, int]]:
        return [(group, index) for group in groups for index, own in enumerate(group.candidates) if own.run == run]

    @staticmethod
    def _keep(groups: Sequence[_Group], chosen: Mapping[RunSpec, Sequence[tuple[_Group, int]]]) -> None:
        """Lets these candidates alone take part in what follows."""
        for group in groups:
            group.bank.active = {index for own in chosen.values() for other, index in own if other is group}

    def _failure(self, groups: Sequence[_Group], run: RunSpec) -> str:
        return next(
            group.bank.failures[index] for group, index in self._of(groups, run) if not _is_sound((group, index))
        )

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
                names=list(map(str, own)),
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
            names=list(map(str, own)),
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
