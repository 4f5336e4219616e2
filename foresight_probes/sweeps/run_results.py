"""The result of a run, made of its scores on the test split and of what a sweep knows of itself."""

import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from foresight_cache.errors import ProbeError, UndefinedMetric
from foresight_probes.controls import parts
from foresight_probes.results.result import Result, identity
from foresight_probes.results.scores import Gathered, SampleScore
from foresight_probes.splits import SIDES
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.statistics.interval import Interval
from foresight_probes.sweeps.identity import provenance
from foresight_probes.sweeps.perceptual_versions import perceptual_versions
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.tagged_parts import by_tags
from foresight_probes.training.run_spec import RunSpec

COPY = "copy "
"""Prefix of the names, in `Result.breakdown`, of the copies of a control."""


def make_result(
    plan: SweepPlan,
    point: str,
    run: RunSpec,
    tested: Gathered,
    *,
    validation: Mapping[str, Any],
    chance: Mapping[str, float] | None = None,
    copies: Sequence[Gathered] = (),
    **facts: Any,
) -> Result:
    """Returns the result of a run; its own metrics are `chance` where none is given.

    Where there are `copies`, the scores of several draws from chance, metrics are their means and ranges instead.
    `facts` are the fields of `Result` that only the run knows. Raises `UndefinedMetric` where the primary metric is not
    defined on the test split, if that is no fold, or on the validation split; `ProbeError` for scores of other samples.
    """
    (name, control), task, options = parts(run.task), plan.tasks[run.task], plan.sweep.options
    for own in (tested, *copies):
        _require_tested(plan, point, run, own.rows)
    scores, samples = tested.scores, [plan.cache.rows[row] for row in tested.rows]
    metrics = bootstrap(
        scores,
        [sample["group"] for sample in samples],
        task.resampled_metrics,
        resamples=options.resamples,
        confidence=options.confidence,
    )
    breakdown = task.breakdown(scores) | by_tags(task, scores, samples)
    if copies:
        breakdown = {f"{COPY}{number}": task.metrics(copy.scores) for number, copy in enumerate(copies, start=1)}
        metrics = spread(list(breakdown.values()), options.confidence)
    has_value = task.primary in metrics or plan.store.of_fold  # it is asked of all folds together
    if not has_value or not math.isfinite(validation["value"]):
        side = "validation" if has_value else "test"
        raise UndefinedMetric(
            f"{task.primary} of {run} on {point} is not defined on the {side} split; "
            "extract more samples, so that it has all kinds of answers"
        )
    return Result(
        identity=identity(plan.store.identity_of(point, run)),
        task=name,
        point=parts(point)[0],
        head=run.head,
        seed=run.seed,
        run=run.name,
        primary=task.primary,
        metrics=metrics,
        breakdown=_finite(breakdown),
        validation=validation,
        not_measured=dict(task.not_measured),
        chance={name: interval.value for name, interval in metrics.items()} if chance is None else chance,
        split=_split_json(plan, run.task),
        cache={**provenance(plan.cache), **plan.store.read_beside(control)},
        versions={**_versions(), **perceptual_versions(metrics, plan.sweep.lpips_weights)},
        scores_source=tuple(_sample_score(sample, own) for sample, own in zip(samples, scores, strict=True)),
        control=control,
        trained_now=True,
        **facts,
    )


def _require_tested(plan: SweepPlan, point: str, run: RunSpec, rows: np.ndarray) -> None:
    """Raises `ProbeError` unless these are the rows of all test samples with a target, each once."""
    expected = sorted(plan.targets[run.task].keys() & set(plan.split.test))
    if rows.tolist() != expected:
        others = len(set(rows.tolist()) - set(expected))
        raise ProbeError(
            f"{run} on {point} was scored on {len(rows)} samples, {others} of them not of its test samples, expected "
            f"each of its {len(expected)} test samples once; nothing is written, since its number would mean "
            "something else: report it"
        )


def spread(draws: Sequence[Mapping[str, float]], confidence: float) -> dict[str, Interval]:
    """Returns the mean of each metric over draws from chance, and the range of the middle ones; undefined ones not.

    >>> spread([{"r2": 0.0}, {"r2": 0.25}, {"r2": 0.5}], confidence=0.5)
    {'r2': Interval(value=0.25, low=0.125, high=0.375)}
    """
    tail = 50 * (1 - confidence)
    intervals = {}
    for name in draws[0]:
        values = [draw[name] for draw in draws if math.isfinite(draw.get(name, math.nan))]
        if values:
            low, high = np.percentile(values, [tail, 100 - tail])
            intervals[name] = Interval(float(np.mean(values)), float(low), float(high))
    return intervals


def _finite(breakdown: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Leaves out what is not defined for a part."""
    return {
        part: {name: value for name, value in metrics.items() if math.isfinite(value)}
        for part, metrics in breakdown.items()
    }


def _sample_score(sample: Mapping[str, Any], scores: np.ndarray) -> SampleScore:
    return SampleScore(sample["id"], sample["group"], tuple(float(score) for score in scores))


def _split_json(plan: SweepPlan, task: str) -> dict[str, Any]:
    """Sizes and groups count the samples that have a target for the task."""
    rows = plan.targets[task].keys()
    groups = [plan.cache.rows[row]["group"] for row in rows & set(plan.split.test)]
    sizes = {side: len(rows & set(plan.split.rows(side))) for side in SIDES}
    return {
        "digest": plan.split.digest,
        **sizes,
        "left_out": sum(plan.split.sizes().values()) - sum(sizes.values()),
        "groups": len(set(groups)),
        "effective_groups": effective_groups(groups),
        **({"classes": plan.classes[task].sizes()} if task in plan.classes else {}),
    }


def _versions() -> dict[str, str]:
    names = ("foresight-cache", "torch", "torchvision", "pytorch-lightning", "scipy", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
