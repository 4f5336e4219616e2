"""Intervals that count refitting: how much a number moves when its head is found without a part of the samples."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foresight_probes.controls import parts
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.results.result import Result, rewrite_result
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.sweeps.plan import SweepPlan


def with_refits(plan: SweepPlan, results: Sequence[Result]) -> list[Result]:
    """Returns the results, of runs with refits with intervals that count them, and stores these where they are new.

    Those of a run of which a refit failed, since its samples lack a kind of answer, stay as they are.
    """
    runs = {(point, run.task, run.name): run for point, own in plan.runs.items() for run in own}
    completed = []
    for result in results:
        run = runs.get((result.point, result.task, result.run))
        if plan.refits and not result.refits and result.point != MEAN_PREDICTOR and run is not None:
            refits = [own for part in plan.refits if (own := part.store.finished(result.point, run)) is not None]
            completed.append(_counting(plan, result, refits) if len(refits) == len(plan.refits) else result)
        else:
            completed.append(result)
    return completed


def _counting(plan: SweepPlan, result: Result, refits: Sequence[Result]) -> Result:
    values = {
        name: tuple(refit.metrics[name].value for refit in refits)
        for name in result.metrics
        if all(name in refit.metrics for refit in refits)
    }
    scores, options = result.scores, plan.sweep.options
    counting = replace(
        result,
        refits=values,
        metrics=bootstrap(
            [np.array(score.scores) for score in scores],
            [score.group for score in scores],
            plan.tasks[parts(result.task)[0]].resampled_metrics,
            resamples=options.resamples,
            confidence=options.confidence,
            refits=values,
        ),
    )
    rewrite_result(counting, plan.out)
    return counting
