"""The result of a run, made of its scores on the test split and of what a sweep knows of itself."""

import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_probes.results.result import Result, identity
from foresight_probes.results.scores import Gathered, SampleScore
from foresight_probes.splits import SIDES
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.sweeps.identity import provenance
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.training.run_spec import RunSpec


def make_result(
    plan: SweepPlan,
    point: str,
    run: RunSpec,
    tested: Gathered,
    *,
    validation: Mapping[str, Any],
    chance: Mapping[str, float] | None = None,
    **facts: Any,
) -> Result:
    """Returns the result of a run; its own metrics are `chance` where none is given.

    `facts` are the fields of `Result` that only the run knows. Raises `ProbeError` where the primary metric is not
    defined on the test split, or its `value` in `validation` is not finite.
    """
    task, options = plan.tasks[run.task], plan.sweep.options
    scores, samples = tested.scores, [plan.cache.rows[row] for row in tested.rows]
    metrics = bootstrap(
        scores,
        [sample["group"] for sample in samples],
        task.resampled_metrics,
        resamples=options.resamples,
        confidence=options.confidence,
    )
    if task.primary not in metrics or not math.isfinite(validation["value"]):
        side = "validation" if task.primary in metrics else "test"
        raise ProbeError(
            f"{task.primary} of {run} on {point} is not defined on the {side} split; "
            "extract more samples, so that it has all kinds of answers"
        )
    return Result(
        identity=identity(plan.store.identity_of(point, run)),
        task=run.task,
        point=point,
        head=run.head,
        seed=run.seed,
        run=run.name,
        primary=task.primary,
        metrics=metrics,
        breakdown=_finite(task.breakdown(scores)),
        validation=validation,
        not_measured=dict(task.not_measured),
        chance={name: interval.value for name, interval in metrics.items()} if chance is None else chance,
        split=_split_json(plan, run.task),
        cache=provenance(plan.cache),
        versions=_versions(),
        scores_source=tuple(_sample_score(sample, own) for sample, own in zip(samples, scores, strict=True)),
        trained_now=True,
        **facts,
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
