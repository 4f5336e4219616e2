"""How often a sweep will read each array of its cache, from which it follows whether a copy nearby pays."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from foresight_probes import heads
from foresight_probes.controls import parts
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.features.datamodule import FeatureData, residence
from foresight_probes.features.sources import POINT_SEPARATOR
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.targets import KEPT_BYTES
from foresight_probes.training.run_spec import RunSpec
from foresight_probes.training.solvers import solver_of

AGAIN = 2
"""Passes over what is read in each epoch: at least so many."""


def reading_passes(plan: SweepPlan) -> dict[str, int]:
    """Returns how often what is pending reads each array of the cache; of what is read in each epoch at least 2.

    A pass reads an array once where its means over tokens suffice, or its tokens stay in memory.
    """
    passes: Counter[str] = Counter()
    for part in _splits(plan):
        for place, runs in part.pending.items():
            if place != MEAN_PREDICTOR:
                passes.update(_of_features(part, place, runs))
        passes.update(_of_targets(part))
    return dict(passes)


def _splits(plan: SweepPlan) -> Iterator[SweepPlan]:
    yield plan
    for part in (*plan.folds, *plan.refits):
        yield from _splits(part)


def _of_features(plan: SweepPlan, place: str, runs: Sequence[RunSpec]) -> Counter[str]:
    """Counts the passes over a point: one for heads that are trained, and one for those that are solved."""
    point, control = parts(place)
    names = [name for name in point.split(POINT_SEPARATOR) if name in plan.cache.points]
    if not names or (control and plan.controls.controls[control].reads is not None):
        return Counter()  # features of its own, or of another cache
    is_solved = [solver_of(plan.tasks[run.task], run.head) is not None for run in runs]
    passes = 0
    for solved in set(is_solved):
        own = [run for run, solver in zip(runs, is_solved, strict=True) if solver == solved]
        passes += 1 if _is_read_once(plan, place, own, solved=solved) else AGAIN
    return Counter(dict.fromkeys(names, passes))


def _is_read_once(plan: SweepPlan, place: str, runs: Sequence[RunSpec], *, solved: bool) -> bool:
    tasks = [plan.tasks[run.task] for run in runs]
    tokens = any(heads.reads_tokens(run.head) for run in runs) or any(task.transforms_batch for task in tasks)
    options = replace(plan.sweep.options, device="cpu") if solved else plan.sweep.options
    sources = plan.controls.sources(plan.cache, place)
    data = FeatureData(sources, plan.split, {}, options, tokens=tokens)
    return not data.tokens or residence(data.size, options) is not None


def _of_targets(plan: SweepPlan) -> Counter[str]:
    """Counts the passes over arrays that targets are made from, of which so many bytes are kept."""
    tasks = dict.fromkeys(run.task for runs in plan.pending.values() for run in runs)
    names = dict.fromkeys(name for task in tasks for name in plan.tasks[task].needs_arrays)
    sizes = {name: sum(commit.objects[name]["bytes"] for commit in plan.cache.commits) for name in names}
    return Counter({name: 1 if size <= KEPT_BYTES else AGAIN for name, size in sizes.items()})
