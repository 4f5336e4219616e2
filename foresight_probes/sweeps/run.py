"""From a cache to results: train what is missing of a sweep, point by point, and write one result per run."""

import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes import heads as head_registry
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR, Constant
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import POINT_SEPARATOR, Source, open_sources
from foresight_probes.features.standardization import Standardization
from foresight_probes.options import TrainingOptions, options_from_yaml
from foresight_probes.results.checkpoints import to_bytes
from foresight_probes.results.result import Result, identity, in_order, save_result
from foresight_probes.results.scores import SampleScore
from foresight_probes.splits import SIDES, Split, resplit
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.sweeps.plan import Sweep, SweepPlan, data_digest, plan_sweep, run_identity
from foresight_probes.sweeps.targets import finest_grid
from foresight_probes.training.bank import Bank
from foresight_probes.training.closed_forms import ClosedForms
from foresight_probes.training.loggers import open_loggers
from foresight_probes.training.runs import RunSpec
from foresight_probes.training.trainer import fit

__all__ = [
    "Sweep",
    "SweepPlan",
    "TrainingOptions",
    "options_from_yaml",
    "plan_runs",
    "plan_sweep",
    "train",
    "train_sweep",
]


def train(
    cache: Cache,
    *,
    tasks: Sequence[str],
    points: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    out: Path,
    options: TrainingOptions | None = None,
    advance: Advance = silent,
) -> list[Result]:
    """`train_sweep` without grids and logs; see there."""
    return train_sweep(cache, _sweep(tasks, points, heads, seeds, options), out, advance=advance)


def plan_runs(
    cache: Cache,
    *,
    tasks: Sequence[str],
    points: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    out: Path,
    options: TrainingOptions | None = None,
) -> SweepPlan:
    """What `train` with the same arguments will do; reads annotations and finished results, and writes nothing."""
    return plan_sweep(cache, _sweep(tasks, points, heads, seeds, options), out)


def train_sweep(
    cache: Cache, sweep: Sweep, out: Path, *, loggers: Sequence[str] = (), advance: Advance = silent
) -> list[Result]:
    """Trains every run of a sweep, and the mean predictor that they are compared with.

    All heads of a point are trained in one pass. A run whose result is in `out` already is not trained again, so an
    interrupted call can be repeated; `Result.fresh` tells the two apart.

    Args:
        out: Folder of results (`results`); made where it does not exist.
        loggers: Names of `loggers`, to `out/logs/<point>`.
        advance: Called after each step with its numbers of samples and of bytes of features.

    Returns: All results, old and new, in the order of computation; the mean predictor first.

    Raises: `UnknownName` with the nearest names; `UsageError` where head and task do not fit; `ProbeError` where a
    split is empty, `out` holds a result of the same name from another cache or recipe, or, after all others are
    finished, for runs whose loss was not finite; `MissingExtra`; `Interrupted`.
    """
    plan = plan_sweep(cache, sweep, out)
    results = {(result.point, result.task, result.run): result for result in plan.finished}
    failures: list[str] = []
    for point, members in plan.pending.items():
        chances = {(r.task, r.head, r.seed): r for (place, _, _), r in results.items() if place == MEAN_PREDICTOR}
        for part in _parts(members):
            trained = _Trained(cache, point, part, plan, sweep, chances)
            failures += trained.run(out, loggers, advance)
            for result in trained.results:
                results[result.point, result.task, result.run] = result
    if failures:
        more = f" ({len(failures) - 1} more runs failed as well)" if len(failures) > 1 else ""
        raise ProbeError(failures[0] + more)
    return in_order(results.values())


def _sweep(
    tasks: Sequence[str],
    points: Sequence[str] | None,
    heads: Sequence[str] | None,
    seeds: Sequence[int],
    options: TrainingOptions | None,
) -> Sweep:
    return Sweep(
        tasks=tuple(tasks),
        points=None if points is None else tuple(points),
        heads=None if heads is None else tuple(heads),
        seeds=tuple(seeds),
        options=options or TrainingOptions(),
    )


def _parts(members: Sequence[RunSpec]) -> list[list[RunSpec]]:
    """Those that are trained step by step, and closed forms."""
    closed = [member for member in members if head_registry.solver(member.head)]
    stepwise = [member for member in members if not head_registry.solver(member.head)]
    return [part for part in (stepwise, closed) if part]


class _Trained:
    """Some members on one point, and their results."""

    def __init__(
        self,
        cache: Cache,
        point: str,
        members: Sequence[RunSpec],
        plan: SweepPlan,
        sweep: Sweep,
        chances: Mapping[tuple[str, str, int], Result],
    ) -> None:
        self.cache, self.point, self.members, self.plan = cache, point, members, plan
        self.options, self.chances = sweep.options, chances
        self.tasks = {name: plan.tasks[name] for name in dict.fromkeys(member.task for member in members)}
        self.results: list[Result] = []

    def run(self, out: Path, loggers: Sequence[str], advance: Advance) -> list[str]:
        """Trains and writes results; returns what went wrong with single members."""
        started = time.perf_counter()
        per_token = any(head_registry.reads_tokens(member.head) for member in self.members)
        needs_tokens = per_token or any(task.transforms_batch for task in self.tasks.values())
        targets = {name: self.plan.targets[name] for name in self.tasks}
        sources = self._sources(per_token)
        closed = head_registry.solver(self.members[0].head) is not None
        options = replace(self.options, device="cpu") if closed else self.options  # they are solved in float64 there
        data = FeatureData(sources, self.plan.split, targets, options, tokens=needs_tokens)
        standardization = data.standardization()
        bank = self._fitted(data, standardization, out, loggers, advance)
        self._shared: dict[str, Any] = {
            "point": self.point,
            "point_index": self._order(),
            "cache": _provenance(self.cache),
            "width": sum(data.widths),
            "versions": _versions(),
            "wall_seconds": round(time.perf_counter() - started, 3),
            "runs_in_pass": len(self.members),
            "bytes_read": data.bytes_read,
            "trained_now": True,
        }
        failures = dict(bank.failures)
        for place in range(len(self.members)):
            if place in failures:
                continue
            try:
                result = self._result(bank, place)
            except ProbeError as error:
                failures[place] = str(error)
                continue
            path = save_result(result, out, to_bytes(bank.selections[place].weights, standardization, result.identity))
            self.results.append(replace(result, scores_source=path.with_suffix(".parquet")))
        return list(failures.values())

    def _sources(self, per_token: bool) -> Sequence[Source]:
        if self.point != MEAN_PREDICTOR:
            return open_sources(self.cache, self.point)
        return [Constant((lambda row: finest_grid(self.cache, row)) if per_token else None)]

    def _fitted(
        self,
        data: FeatureData,
        standardization: Standardization,
        out: Path,
        loggers: Sequence[str],
        advance: Advance,
    ) -> "Bank | ClosedForms":
        if not head_registry.solver(self.members[0].head):
            bank = Bank(self.members, self.tasks, standardization, self.options, grid=data.grid, advance=advance)
            fit(bank, data, open_loggers(loggers, out, self.point))
            return bank
        groups = [sample["group"] for sample in self.cache.rows]
        splits = {member.seed: resplit(self.plan.split, groups, member.seed) for member in self.members}
        closed = ClosedForms(self.members, self.tasks, standardization, self.options, grid=data.grid, splits=splits)
        closed.fit(data)
        return closed

    def _order(self) -> int:
        """That of the last, where there are several points."""
        points = [name for name in self.point.split(POINT_SEPARATOR) if name in self.cache.points]
        return max(map(self.cache.points.index, points), default=-1)

    def _result(self, bank: "Bank | ClosedForms", place: int) -> Result:
        """Raises `ProbeError` where the primary metric is not defined."""
        member, best = bank.runs[place], bank.selections[place]
        task, options = self.tasks[member.task], member.options(self.options)
        tested = bank.test_scores[place]
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
                f"{task.primary} of {member} on {self.point} is not defined on the {side} split; "
                "extract more samples, so that it has all kinds of answers."
            )
        constant = (member.task, task.constant_head or "")
        mean_predictor = self.chances.get((*constant, member.seed)) or self.chances.get((*constant, 0))
        chance = {name: each.value for name, each in (mean_predictor.metrics if mean_predictor else metrics).items()}
        return Result(
            identity=identity(run_identity(self.cache, self.point, member, self.plan.split, self.options)),
            task=member.task,
            head=member.head,
            seed=member.seed,
            run=member.name,
            primary=task.primary,
            metrics=metrics,
            breakdown=_finite(task.breakdown(scores)),
            validation={"value": best.value, "epoch": best.epoch, **_strength(best.penalty)},
            not_measured=dict(task.not_measured),
            chance=dict(task.chance) if task.constant_head is None else chance,
            options=options.to_json(),
            learning_rate=bank.learning_rate(place),
            split=_split_json(self.plan, member.task),
            parameters=sum(parameter.numel() for parameter in bank.heads[place].parameters()),
            scores_source=tuple(_sample_score(sample, found) for sample, found in zip(samples, scores, strict=True)),
            **self._shared,
        )


def _strength(strength: float | None) -> dict[str, float]:
    return {} if strength is None else {"strength": strength}


def _finite(breakdown: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Without what is not defined for a part."""
    return {
        part: {name: value for name, value in metrics.items() if math.isfinite(value)}
        for part, metrics in breakdown.items()
    }


def _sample_score(sample: Mapping[str, Any], scores: np.ndarray) -> SampleScore:
    return SampleScore(sample["id"], sample["group"], tuple(float(score) for score in scores))


def _split_json(plan: SweepPlan, task: str) -> dict[str, Any]:
    """Sizes count the samples that have a question for the task."""
    asked = plan.targets[task].keys()
    sizes = {side: len(asked & set(getattr(plan.split, side))) for side in SIDES}
    return {"digest": plan.split.digest, **sizes, "left_out": _count(plan.split) - sum(sizes.values())}


def _count(split: Split) -> int:
    return sum(split.sizes().values())


def _provenance(cache: Cache) -> dict[str, Any]:
    fingerprint = cache.fingerprint
    return {
        "digest": cache.digest,
        "data": data_digest(cache),
        "path": cache.path,
        "model": fingerprint.get("model", {}),
        "dataset": fingerprint.get("dataset", {}).get("name", ""),
    }


def _versions() -> dict[str, str]:
    names = ("foresight-cache", "torch", "torchvision", "pytorch-lightning", "scipy", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
