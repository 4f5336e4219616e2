"""The results of a sweep with folds: of each run one, from the scores of all samples as each was tested."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from foresight_cache.errors import UndefinedMetric
from foresight_probes.controls import parts
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.results.result import Result, identity, save_result
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.sweeps.failed_runs import FailedRun
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.run_results import COPY, spread
from foresight_probes.sweeps.tagged_parts import by_tags
from foresight_probes.training.run_spec import RunSpec


def pooled_results(plan: SweepPlan) -> tuple[list[Result], list[FailedRun]]:
    """Returns the results of all runs that every fold has, those of controls among them, and writes those that are new.

    The mean predictor comes first. With them come the runs whose primary metric is not defined on all samples.
    """
    results: list[Result] = []
    failures: list[FailedRun] = []
    mean_predictors: dict[str, Result] = {}
    for point, runs in plan.runs.items():
        for run in runs:
            stored = plan.store.finished(point, run)
            try:
                own = stored or _pooled(plan, point, run, mean_predictors)
            except UndefinedMetric as error:
                failures.append(FailedRun(point, str(error), is_undefined=True))
                continue
            if own is None:
                continue
            results.append(own)
            if point == MEAN_PREDICTOR:
                mean_predictors[run.task] = own
    return results, failures


def _pooled(plan: SweepPlan, point: str, run: RunSpec, mean_predictors: Mapping[str, Result]) -> Result | None:
    folds = [own for fold in plan.folds if (own := fold.store.finished(point, run)) is not None]
    if len(folds) < len(plan.folds):
        return None
    first, task, options = folds[0], plan.tasks[parts(run.task)[0]], plan.sweep.options
    samples = sorted((score for fold in folds for score in fold.scores), key=lambda score: score.id)
    scores, groups = [np.array(score.scores) for score in samples], [score.group for score in samples]
    copies = [name for name in first.breakdown if name.startswith(COPY)]
    if copies:
        weights = [len(fold.scores) for fold in folds]
        breakdown = {name: _averaged([fold.breakdown[name] for fold in folds], weights) for name in copies}
        metrics = spread(list(breakdown.values()), options.confidence)
    else:
        rows = {row["id"]: row for row in plan.cache.rows}
        breakdown = task.breakdown(scores) | by_tags(task, scores, [rows[score.id] for score in samples])
        metrics = bootstrap(
            scores, groups, task.resampled_metrics, resamples=options.resamples, confidence=options.confidence
        )
    if task.primary not in metrics:
        if parts(run.task)[1]:  # a control without a number is left out
            return None
        raise UndefinedMetric(
            f"{task.primary} of {run} on {point} is not defined on the samples of all folds; "
            "extract more samples, so that it has all kinds of answers"
        )
    pooled = replace(
        first,
        identity=identity(plan.store.identity_of(point, run)),
        metrics=metrics,
        breakdown=breakdown,
        validation=_validation(folds),
        chance=_chance(run, metrics if point == MEAN_PREDICTOR else None, mean_predictors, folds),
        split=_split_json(plan, folds, groups),
        parameters=max(fold.parameters for fold in folds),
        wall_seconds=round(sum(fold.wall_seconds for fold in folds), 3),
        bytes_read=sum(fold.bytes_read for fold in folds),
        scores_source=tuple(samples),
        controls={},
        trained_now=True,
    )
    path = save_result(pooled, plan.out)
    return replace(pooled, scores_source=path.with_suffix(".parquet"))


def _averaged(values: Sequence[Mapping[str, float]], weights: Sequence[int]) -> dict[str, float]:
    """Returns the means of the metrics that all have, weighted."""
    common = [name for name in values[0] if all(name in own for own in values)]
    return {name: fmean([own[name] for own in values], weights) for name in common}


def _validation(folds: Sequence[Result]) -> dict[str, Any]:
    """Returns what the folds chose: where they differ the largest epoch, a mean value, and nothing of other kinds."""
    alike = {
        name: value
        for name, value in folds[0].validation.items()
        if all(name in fold.validation and fold.validation[name] == value for fold in folds)
    }
    chosen: dict[str, Any] = {
        **alike,
        "value": fmean(fold.validation["value"] for fold in folds),
        "epoch": max(fold.validation["epoch"] for fold in folds),
    }
    if any("converged" in fold.validation for fold in folds):
        chosen["converged"] = all(fold.validation.get("converged", True) for fold in folds)
    return chosen


def _chance(
    run: RunSpec, own: Mapping[str, Any] | None, mean_predictors: Mapping[str, Result], folds: Sequence[Result]
) -> dict[str, float]:
    """Returns the mean predictor's metrics on all samples, or the mean of the folds' where each point has its own."""
    constant = mean_predictors.get(parts(run.task)[0])
    found = own or (constant.metrics if constant else None)
    if found is not None:
        return {name: interval.value for name, interval in found.items()}
    return _averaged([fold.chance for fold in folds], [len(fold.scores) for fold in folds])


def _split_json(plan: SweepPlan, folds: Sequence[Result], groups: Sequence[str]) -> dict[str, Any]:
    """Sizes are those of all folds together for the test side, and of one fold on the average for the others."""
    return {
        "digest": plan.split.digest,
        "folds": len(folds),
        **{side: round(fmean(fold.split[side] for fold in folds)) for side in ("train", "validation")},
        "test": len(groups),
        "left_out": len(plan.split.test) - len(groups),
        "groups": len(set(groups)),
        "effective_groups": effective_groups(groups),
    }
