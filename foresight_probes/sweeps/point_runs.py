"""The runs of a sweep on one point: trained or solved together in one pass over its features, each with its result."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from foresight_cache.errors import ProbeError, UndefinedMetric
from foresight_cache.runtime.progress import Advance
from foresight_probes import heads as head_registry
from foresight_probes.batches import Features
from foresight_probes.constant_answer import blank
from foresight_probes.controls import parts
from foresight_probes.controls.mean_predictor import ConstantScores
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import POINT_SEPARATOR
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import SolvableHead
from foresight_probes.results.checkpoints import to_bytes
from foresight_probes.results.result import Result, save_result
from foresight_probes.splits import Split, require_apart, resplit
from foresight_probes.sweeps.failed_runs import FailedRun
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.run_results import make_result
from foresight_probes.sweeps.solving_memory import map_bytes, together, too_large
from foresight_probes.sweeps.solving_threads import is_small, one_thread
from foresight_probes.training.closed_forms import ClosedForms
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.kept_head import recipe_of
from foresight_probes.training.loggers import open_loggers
from foresight_probes.training.run_spec import RunSpec, build_heads
from foresight_probes.training.search import Search
from foresight_probes.training.solver_data import SolverData
from foresight_probes.training.solvers import solver_of
from foresight_probes.training.zeroth_epoch import or_constant


class PointRuns:
    """Runs of a plan on one point, either all trained step by step or all closed forms, and their results."""

    def __init__(
        self,
        plan: SweepPlan,
        point: str,
        runs: Sequence[RunSpec],
        mean_predictors: Mapping[str, Result],
    ) -> None:
        """Takes the results of the mean predictors by task."""
        self.plan, self.point, self.mean_predictors = plan, point, mean_predictors
        self.wanted = {copy: run for run in runs for copy in plan.controls.copies(run)}
        """Run that is wanted, by each run that is trained for it."""
        self.runs = tuple(self.wanted)
        self.cache, self.options = plan.cache, plan.sweep.options
        self.tasks = {name: plan.tasks[name] for name in dict.fromkeys(run.task for run in self.runs)}
        self.closed = solver_of(self.tasks[self.runs[0].task], self.runs[0].head) is not None
        self.results: list[Result] = []
        self._constants: dict[tuple[str, int], ConstantScores | None] = {}
        self._splits: dict[int, Split] = {}

    def train(self, loggers: Sequence[str], advance: Advance) -> list[FailedRun]:
        """Trains and writes results; returns the runs that failed, but for controls without a number."""
        started = time.perf_counter()
        per_token = any(head_registry.reads_tokens(run.head) for run in self.runs)
        needs_tokens = per_token or any(task.transforms_batch for task in self.tasks.values())
        targets = {name: self.plan.targets[name] for name in self.tasks}
        sources = self.plan.controls.sources(self.cache, self.point)
        # closed forms are solved in float64, on the CPU
        options = replace(self.options, device="cpu") if self.closed else self.options
        data = FeatureData(sources, self.plan.split, targets, options, tokens=needs_tokens)
        standardization = data.standardization()
        names = dict.fromkeys(parts(run.task)[0] for run in self.runs)
        self._chance = {name: self._chance_of(name, data, standardization) for name in names}
        fitted, failures = self._fitted(data, standardization, loggers, advance)
        fitted = [
            or_constant(own, self.tasks[own.run.task], constant, self._group) if constant else own
            for own in fitted
            for constant in [self._constant(own.run.task, own.run.seed, data, standardization)]
        ]
        self._shared: dict[str, Any] = {
            "point_index": self._point_index(),
            "width": sum(data.widths),
            "wall_seconds": round(time.perf_counter() - started, 3),
            "runs_in_pass": len(self.runs),
            "bytes_read": data.bytes_read,
        }
        for run, copies in self._of_wanted(fitted).items():
            try:
                result = self._result(run, copies)
            except ProbeError as error:
                failed = self._failed(run, str(error), is_undefined=isinstance(error, UndefinedMetric))
                if not (failed.is_undefined and parts(run.task)[1]):  # such a control is left out
                    failures.append(failed)
                continue
            outputs = self.tasks[copies[0].run.task].outputs_for(width=sum(data.widths), grid=data.grid)
            recipe = recipe_of(copies[0], outputs)
            weights = to_bytes(copies[0].best.weights, standardization, result.identity, recipe)
            path = save_result(result, self.plan.out, weights)
            self.results.append(replace(result, scores_source=path.with_suffix(".parquet")))
        return failures

    def _chance_of(self, name: str, data: FeatureData, standardization: Standardization) -> dict[str, float]:
        """Returns the mean predictor's metrics: its own where it is the same for all points, else this point's.

        There are none where it failed.
        """
        task = self.plan.tasks[name]
        if task.targets_from == "sample":
            own = self.mean_predictors.get(name)
            return {metric: interval.value for metric, interval in own.metrics.items()} if own else {}
        constant = self._constant(name, 0, data, standardization)
        return task.metrics(constant.test.scores) if constant else {}

    def _constant(
        self, name: str, seed: int, data: FeatureData, standardization: Standardization
    ) -> ConstantScores | None:
        """The best constant answer on the split of a seed, which only closed forms divide anew.

        None where no training sample has a target.
        """
        task, source = self.plan.tasks[name], data.source

        def features_of(rows: Sequence[int]) -> Features:
            if task.targets_from == "features":
                return standardization(data.batch(rows).features.to("cpu"))
            return blank([source.grid(row) for row in rows])

        key = (name, seed if self.closed else 0)
        if key not in self._constants:
            split = self._split_of(key[1])
            answered = self.plan.targets[name].keys() & set(split.train)
            constant = ConstantScores(task, self.plan.targets[name], split, features_of) if answered else None
            self._constants[key] = constant
        return self._constants[key]

    def _fitted(
        self,
        data: FeatureData,
        standardization: Standardization,
        loggers: Sequence[str],
        advance: Advance,
    ) -> tuple[list[Fitted], list[FailedRun]]:
        """Fitted runs, and those that failed, but for controls."""
        if self.closed:
            return self._solved(data, standardization, advance)
        search = Search(
            self.runs,
            self.tasks,
            data,
            standardization,
            self.options,
            loggers=open_loggers(loggers, self.plan.out, self.point),
            advance=advance,
        )
        fitted = search.fit()
        failures = [(self.runs[index], text) for index, text in search.failures.items()]
        failed = [(run, self._failed(self.wanted[run], text)) for run, text in failures]
        return fitted, [own for run, own in failed if not parts(run.task)[1]]

    def _solved(
        self, data: FeatureData, standardization: Standardization, advance: Advance
    ) -> tuple[list[Fitted], list[FailedRun]]:
        """Solved runs, as many together as memory allows, and those that it has no room for, but for controls."""
        penalties = len(self.options.strengths)
        sizes = {name: map_bytes(task, data, penalties) for name, task in self.tasks.items()}
        lacking = {run: reason for run in self.runs if (reason := too_large(sizes[run.task]))}
        fitted: list[Fitted] = []
        runs = [run for run in self.runs if run not in lacking]
        for indices in together(runs, sizes):
            solver_data = self._solver_data([runs[index] for index in indices], data, standardization, advance)
            with one_thread(wanted=is_small(solver_data)):
                fitted += ClosedForms(solver_data, self.options).fit()
        for run, reason in lacking.items():
            if parts(run.task)[1]:
                self._failed(self.wanted[run], reason, is_undefined=True)
        failed = [(run, reason) for run, reason in lacking.items() if not parts(run.task)[1]]
        return fitted, [FailedRun(self.point, f"{run.task}, {run.name}: {reason}") for run, reason in failed]

    def _failed(self, run: RunSpec, reason: str, *, is_undefined: bool = False) -> FailedRun:
        """Keeps why a run has no result."""
        failed = FailedRun(self.point, reason, is_undefined)
        self.plan.store.record(failed, run)
        return failed

    def _of_wanted(self, fitted: Sequence[Fitted]) -> dict[RunSpec, list[Fitted]]:
        copies: dict[RunSpec, list[Fitted]] = {}
        for own in fitted:
            copies.setdefault(self.wanted[own.run], []).append(own)
        return copies

    def _solver_data(
        self, runs: Sequence[RunSpec], data: FeatureData, standardization: Standardization, advance: Advance
    ) -> SolverData:
        heads = build_heads(runs, self.tasks, standardization, data.grid)
        return SolverData(
            runs=tuple(runs),
            tasks=self.tasks,
            heads=[cast(SolvableHead, head) for head in heads],
            solvers=[cast(str, solver_of(self.tasks[run.task], run.head)) for run in runs],
            splits=[self._split_of(run.seed) for run in runs],
            features=data,
            standardization=standardization,
            advance=advance,
        )

    def _group(self, row: int) -> str:
        """The group of a sample, by its row of the sample table."""
        return str(self.cache.rows[row]["group"])

    def _split_of(self, seed: int) -> Split:
        """The split of a seed. Raises `ProbeError` where a group is on two of its sides."""
        if seed not in self._splits:
            groups = [sample["group"] for sample in self.cache.rows]
            self._splits[seed] = resplit(self.plan.split, groups, seed)
            require_apart(self._splits[seed], groups)
        return self._splits[seed]

    def _point_index(self) -> int:
        """Returns the index of the point, or of the last where there are several."""
        points = [name for name in parts(self.point)[0].split(POINT_SEPARATOR) if name in self.cache.points]
        return max(map(self.cache.points.index, points), default=-1)

    def _result(self, run: RunSpec, copies: Sequence[Fitted]) -> Result:
        """Raises `ProbeError` where the primary metric is not defined."""
        fitted, best = copies[0], copies[0].best
        return make_result(
            self.plan,
            self.point,
            run,
            fitted.test_scores,
            validation={"value": best.value, "epoch": best.epoch, **fitted.chosen},
            chance=self._chance[parts(run.task)[0]],
            copies=[own.test_scores for own in copies] if len(copies) > 1 else (),
            options=run.options(self.options).to_json(),
            learning_rate=fitted.chosen.get("learning_rate", 0.0),
            parameters=sum(parameter.numel() for parameter in fitted.head.parameters()),
            **self._shared,
        )
