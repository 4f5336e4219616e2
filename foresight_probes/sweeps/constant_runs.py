"""The mean predictors of a sweep: computed from the targets of the training split, by no option of training."""

import time
from collections.abc import Sequence
from dataclasses import replace

from foresight_cache.errors import ProbeError, UndefinedMetric
from foresight_probes.constant_answer import blank
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR, ConstantScores
from foresight_probes.results.result import Result, save_result
from foresight_probes.sweeps.failed_runs import FailedRun
from foresight_probes.sweeps.identity import constant_recipe
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.run_results import make_result
from foresight_probes.sweeps.targets import finest_grid
from foresight_probes.training.run_spec import RunSpec


def compute_mean_predictors(plan: SweepPlan, runs: Sequence[RunSpec]) -> tuple[list[Result], list[FailedRun]]:
    """Computes and writes the results of mean predictors; returns them, and the runs that failed."""
    results: list[Result] = []
    failures: list[FailedRun] = []
    for run in runs:
        try:
            result = _result(plan, run)
        except ProbeError as error:
            failures.append(FailedRun(MEAN_PREDICTOR, str(error), isinstance(error, UndefinedMetric)))
            plan.store.record(failures[-1], run)
            continue
        path = save_result(result, plan.out)
        results.append(replace(result, scores_source=path.with_suffix(".parquet")))
    return results, failures


def _result(plan: SweepPlan, run: RunSpec) -> Result:
    """Tokens stand for the cells of the finest point."""
    started, task = time.perf_counter(), plan.tasks[run.task]
    constant = ConstantScores(
        task,
        plan.targets[run.task],
        plan.split,
        lambda rows: blank([finest_grid(plan.cache, row) for row in rows]),
    )
    return make_result(
        plan,
        MEAN_PREDICTOR,
        run,
        constant.test,
        validation={"value": constant.value(task), "epoch": 0},
        options=constant_recipe(run.options(plan.sweep.options)),
        learning_rate=0.0,
        parameters=constant.answer.values.numel(),
        point_index=-1,
        width=0,
        wall_seconds=round(time.perf_counter() - started, 3),
        runs_in_pass=1,
        bytes_read=0,
    )
