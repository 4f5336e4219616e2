"""The runs of a sweep on one point: trained or solved together in one pass over its features, each with its result."""

import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, cast

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.progress import Advance
from foresight_probes import heads as head_registry
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR, Constant
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import POINT_SEPARATOR, Source, open_sources
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.results.checkpoints import to_bytes
from foresight_probes.results.result import Result, identity, save_result
from foresight_probes.results.scores import SampleScore
from foresight_probes.splits import SIDES, resplit
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.sweeps.identity import provenance
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.targets import finest_grid
from foresight_probes.training.closed_forms import ClosedForms
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.loggers import open_loggers
from foresight_probes.training.run_spec import RunSpec, build_heads
from foresight_probes.training.search import Search
from foresight_probes.training.solver_data import SolverData
from foresight_probes.training.solvers import solver_of


class PointRuns:
    """Runs of a plan on one point, either all trained step by step or all closed forms, and their results."""

    def __init__(
        self,
        plan: SweepPlan,
        point: str,
        runs: Sequence[RunSpec],
        mean_predictors: Mapping[tuple[str, str, int], Result],
    ) -> None:
        """Takes the results of the mean predictors by task, head and seed."""
        self.plan, self.point, self.runs, self.mean_predictors = plan, point, runs, mean_predictors
        self.cache, self.options = plan.cache, plan.sweep.options
        self.tasks = {name: plan.tasks[name] for name in dict.fromkeys(run.task for run in runs)}
        self.solvers = [solver_of(self.tasks[run.task], run.head) for run in runs]
        self.closed = self.solvers[0] is not None
        self.results: list[Result] = []

    def train(self, loggers: Sequence[str], advance: Advance) -> list[str]:
        """Trains and writes results; returns the errors of single runs, in words."""
        started = time.perf_counter()
        per_token = any(head_registry.reads_tokens(run.head) for run in self.runs)
        needs_tokens = per_token or any(task.transforms_batch for task in self.tasks.values())
        targets = {name: self.plan.targets[name] for name in self.tasks}
        sources = self._sources(per_token)
        # closed forms are solved in float64, on the CPU
        options = replace(self.options, device="cpu") if self.closed else self.options
        data = FeatureData(sources, self.plan.split, targets, options, tokens=needs_tokens)
        standardization = data.standardization()
        fitted, failures = self._fitted(data, standardization, loggers, advance)
        self._shared: dict[str, Any] = {
            "point": self.point,
            "point_index": self._point_index(),
            "cache": provenance(self.cache),
            "width": sum(data.widths),
            "versions": _versions(),
            "wall_seconds": round(time.perf_counter() - started, 3),
            "runs_in_pass": len(self.runs),
            "bytes_read": data.bytes_read,
            "trained_now": True,
        }
        for own in fitted:
            try:
                result = self._result(own)
            except ProbeError as error:
                failures.append(str(error))
                continue
            weights = to_bytes(own.best.weights, standardization, result.identity)
            path = save_result(result, self.plan.out, weights)
            self.results.append(replace(result, scores_source=path.with_suffix(".parquet")))
        return failures

    def _sources(self, per_token: bool) -> Sequence[Source]:
        if self.point != MEAN_PREDICTOR:
            return open_sources(self.cache, self.point)
        return [Constant((lambda row: finest_grid(self.cache, row)) if per_token else None)]

    def _fitted(
        self,
        data: FeatureData,
        standardization: Standardization,
        loggers: Sequence[str],
        advance: Advance,
    ) -> tuple[list[Fitted], list[str]]:
        """Fitted runs, and the failures of others in words."""
        if self.closed:
            closed = ClosedForms(self._solver_data(data, standardization, advance), self.options)
            return closed.fit(), []
        search = Search(
            self.runs,
            self.tasks,
            data,
            standardization,
            self.options,
            loggers=open_loggers(loggers, self.plan.out, self.point),
            advance=advance,
        )
        return search.fit(), list(search.failures.values())

    def _solver_data(self, data: FeatureData, standardization: Standardization, advance: Advance) -> SolverData:
        groups = [sample["group"] for sample in self.cache.rows]
        heads = build_heads(self.runs, self.tasks, standardization, data.grid)
        return SolverData(
            runs=self.runs,
            tasks=self.tasks,
            heads=[cast(LinearHead, head) for head in heads],
            solvers=[cast(str, solver) for solver in self.solvers],
            splits=[resplit(self.plan.split, groups, run.seed) for run in self.runs],
            features=data,
            standardization=standardization,
            advance=advance,
        )

    def _point_index(self) -> int:
        """Returns the index of the point, or of the last where there are several."""
        points = [name for name in self.point.split(POINT_SEPARATOR) if name in self.cache.points]
        return max(map(self.cache.points.index, points), default=-1)

    def _result(self, fitted: Fitted) -> Result:
        """Raises `ProbeError` where the primary metric is not defined."""
        run, best, tested = fitted.run, fitted.best, fitted.test_scores
        task, options = self.tasks[run.task], run.options(self.options)
        scores, samples = tested.scores, [self.cache.rows[row] for row in tested.rows]
        metrics = bootstrap(
            scores,
            [sample["group"] for sample in samples],
            task.resampled_metrics,
            resamples=options.resamples,
            confidence=options.confidence,
        )
        if task.primary not in metrics or not math.isfinite(best.value):
            side = "validation" if task.primary in metrics else "test"
            raise ProbeError(
                f"{task.primary} of {run} on {self.point} is not defined on the {side} split; "
                "extract more samples, so that it has all kinds of answers"
            )
        constant = (run.task, task.constant_head or "")
        mean_predictor = self.mean_predictors.get((*constant, run.seed)) or self.mean_predictors.get((*constant, 0))
        constant_metrics = mean_predictor.metrics if mean_predictor else metrics
        chance = {name: metric.value for name, metric in constant_metrics.items()}
        return Result(
            identity=identity(self.plan.store.identity_of(self.point, run)),
            task=run.task,
            head=run.head,
            seed=run.seed,
            run=run.name,
            primary=task.primary,
            metrics=metrics,
            breakdown=_finite(task.breakdown(scores)),
            validation={"value": best.value, "epoch": best.epoch, **fitted.chosen},
            not_measured=dict(task.not_measured),
            chance=dict(task.chance) if task.constant_head is None else chance,
            options=options.to_json(),
            learning_rate=fitted.chosen.get("learning_rate", 0.0),
            split=_split_json(self.plan, run.task),
            parameters=sum(parameter.numel() for parameter in fitted.head.parameters()),
            scores_source=tuple(_sample_score(sample, own) for sample, own in zip(samples, scores, strict=True)),
            **self._shared,
        )


def _finite(breakdown: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Leaves out what is not defined for a part."""
    return {
        part: {name: value for name, value in metrics.items() if math.isfinite(value)}
        for part, metrics in breakdown.items()
    }


def _sample_score(sample: Mapping[str, Any], scores: np.ndarray) -> SampleScore:
    return SampleScore(sample["id"], sample["group"], tuple(float(score) for score in scores))


def _split_json(plan: SweepPlan, task: str) -> dict[str, Any]:
    """Sizes count the samples that have a target for the task."""
    rows = plan.targets[task].keys()
    sizes = {side: len(rows & set(plan.split.rows(side))) for side in SIDES}
    return {"digest": plan.split.digest, **sizes, "left_out": sum(plan.split.sizes().values()) - sum(sizes.values())}


def _versions() -> dict[str, str]:
    names = ("foresight-cache", "torch", "torchvision", "pytorch-lightning", "scipy", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
