"""Numbers beside those of their controls, as they are stored with each result."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from foresight_probes.controls.mean_predictor import CONSTANT, MEAN_PREDICTOR
from foresight_probes.options import TrainingOptions
from foresight_probes.results.control_values import ControlValue
from foresight_probes.results.result import Result, rewrite_result
from foresight_probes.statistics.interval import Interval
from foresight_probes.statistics.paired import compare_pair
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.run_results import COPY
from foresight_probes.tasks import Task

MOST_RESAMPLES = 200
"""Resamples behind the interval of a difference, at most: it has to be drawn for each control of each number."""


def with_controls(plan: SweepPlan, results: Iterable[Result]) -> list[Result]:
    """Returns the results that are of no control, each with its controls, and stores these where they are new."""
    every = list(results)
    with_value = [result for result in every if result.primary in result.metrics]  # a fold may have none
    by_name = {(result.control, result.task, result.point, result.head): result for result in reversed(with_value)}
    completed = []
    for result in every:
        if not result.control:
            stands_alone = result.point == MEAN_PREDICTOR or result.primary not in result.metrics
            beside = {} if stands_alone else _controls_of(plan, result, by_name)
            completed.append(_completed(plan, result, beside))
    return completed


def _controls_of(
    plan: SweepPlan, result: Result, by_name: Mapping[tuple[str, str, str, str], Result]
) -> dict[str, Result]:
    """Returns the results of the controls that stand beside a result, by control; none where the sweep has none."""
    found = {}
    constant = by_name.get(("", result.task, MEAN_PREDICTOR, CONSTANT))
    if constant is not None and plan.controls.controls:
        found[MEAN_PREDICTOR] = constant
    for name, control in plan.controls.controls.items():
        point = control.point_for(result.point)
        if point is not None:
            keys = [(name, result.task, point, result.head)]
            if control.changes_features and point != result.point:
                keys.append(("", result.task, point, result.head))  # the point's own run
            own = next((by_name[key] for key in keys if key in by_name), None)
            if own is not None:
                found[name] = own
    return found


def _completed(plan: SweepPlan, result: Result, beside: Mapping[str, Result]) -> Result:
    new = [name for name, own in beside.items() if own.trained_now or result.trained_now or name not in result.controls]
    if not new:
        return result
    task = plan.tasks[result.task]
    made, options = plan.controls.controls, plan.sweep.options
    values = dict(result.controls)
    for name in new:
        above = name == MEAN_PREDICTOR or made[name].above
        values[name] = compared(task, result, beside[name], options, above=above)
    completed = replace(result, controls=dict(sorted(values.items())))
    rewrite_result(completed, plan.out)
    return completed


def compared(task: Task, result: Result, control: Result, options: TrainingOptions, *, above: bool) -> ControlValue:
    """Returns the control's number with what tells whether the result's lies above it."""
    copies = [own[task.primary] for name, own in control.breakdown.items() if name.startswith(COPY)]
    if copies:
        as_high = sum(value >= result.value.value for value in copies)
        return ControlValue(above=above, interval=control.value, p_value=(1 + as_high) / (1 + len(copies)))
    return ControlValue(above=above, interval=control.value, difference=_difference(task, result, control, options))


def _difference(task: Task, result: Result, control: Result, options: TrainingOptions) -> Interval | None:
    """Returns the number less the control's on the samples that both have, on the same resamples of their groups."""
    own, other = ({score.id: score for score in each.scores} for each in (result, control))
    common = [score for name, score in own.items() if name in other]
    if not common:
        return None
    first = [np.array(score.scores) for score in common]
    second = [np.array(other[score.id].scores) for score in common]
    comparison = compare_pair(
        first,
        second,
        [score.group for score in common],
        task.resampled_metrics,
        task.primary,
        resamples=min(MOST_RESAMPLES, options.resamples),
        permutations=0,
        confidence=options.confidence,
    )
    return comparison.difference if comparison else None
