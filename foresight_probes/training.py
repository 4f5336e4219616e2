"""From a cache to results: plan the runs, train what is missing, point by point, and write one file per run."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.progress import Advance, silent
from foresight_cache.reader import Cache
from foresight_probes import heads as head_registry
from foresight_probes import tasks as task_registry
from foresight_probes.bank import Bank, Member, fit
from foresight_probes.controls import MEAN_PREDICTOR, Constant
from foresight_probes.features import FeatureData, Source, Targets, open_source
from foresight_probes.options import TrainingOptions, options_from_yaml
from foresight_probes.results import Result, SampleScore, identity, load_result, result_path, save_result
from foresight_probes.splits import SIDES, Split, split_rows
from foresight_probes.statistics import bootstrap
from foresight_probes.tasks import Task

__all__ = ["Plan", "TrainingOptions", "options_from_yaml", "plan_runs", "train"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Which runs there are, and which of them are finished."""

    pending: Mapping[str, tuple[Member, ...]]
    """By point, in the order in which they are trained: first the mean predictor, then the order of computation."""
    finished: tuple[Result, ...]
    """Results that are there already, from the same cache, split and recipe."""
    samples: int
    """Training samples that will be seen, all epochs together: what `advance` counts up to."""
    split: Split
    targets: Targets


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
    """Trains each head for each task on each point from each seed, and the mean predictor that they are compared with.

    All heads of a point are trained in one pass. A run whose result is in `out` already is not trained again, so an
    interrupted call can be repeated; `Result.fresh` tells the two apart.

    Args:
        points: Names, aliases or patterns of the cache's points, as in `Cache.select`; None for all.
        heads: Names or aliases (`linear`); None for those of each task.
        seeds: Of the heads' initial weights; the order of samples is `options.shuffle_seed` for all.
        out: Folder of results, `RUNS/<task>/<point>/<head>-seed<seed>.json`; made where it does not exist.
        advance: Called after each step with its numbers of samples and of bytes of features.

    Returns: All results, old and new, in the order of computation; the mean predictor first.

    Raises: `UnknownName` with the nearest names; `UsageError` where nothing is named; `ProbeError` where a split is
    empty, `out` holds a result of the same name from another cache or recipe, or a loss is not finite; `Interrupted`.
    """
    options = options or TrainingOptions()
    plan = plan_runs(cache, tasks=tasks, points=points, heads=heads, seeds=seeds, out=out, options=options)
    results = {(result.point, _member_of(result)): result for result in plan.finished}
    for point, members in plan.pending.items():
        chances = {name: result for (place, name), result in results.items() if place == MEAN_PREDICTOR}
        for result in _train_point(cache, point, members, plan, options, chances, advance):
            save_result(result, out)
            results[point, _member_of(result)] = result
    return sorted(results.values(), key=lambda result: (result.task, result.order, result.head, result.seed))


def plan_runs(
    cache: Cache,
    *,
    tasks: Sequence[str],
    points: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    out: Path,
    options: TrainingOptions,
) -> Plan:
    """What `train` with the same arguments will do; reads annotations and finished results, and writes nothing.

    Raises as `train` does.
    """
    loaded = {name: task_registry.load(name) for name in dict.fromkeys(tasks)}
    if not loaded or not seeds:
        raise UsageError(f"no {'seed' if loaded else 'task'} was named; name one, for example --task boxes --seeds 0.")
    chosen = None if heads is None else head_registry.resolve(heads)
    names = cache.points if points is None else cache.select(points)
    if not names:
        raise UsageError(f"no point was named; {cache.path} has {', '.join(cache.points)}.")
    split, targets = _questions(cache, loaded, options)
    wanted = {
        MEAN_PREDICTOR: [
            Member(name, task.constant_head, seed)
            for name, task in loaded.items()
            if task.constant_head
            for seed in seeds
        ]
    }
    for point in names:
        wanted[point] = [
            Member(name, head, seed)
            for name, task in loaded.items()
            for head in (chosen or task.heads)
            for seed in dict.fromkeys(seeds)
        ]
    pending: dict[str, tuple[Member, ...]] = {}
    finished: list[Result] = []
    for point, members in wanted.items():
        found = {member: _finished(cache, point, member, split, options, out) for member in members}
        finished += [result for result in found.values() if result]
        if missing := tuple(member for member, result in found.items() if not result):
            pending[point] = missing
    samples = len(pending) * len(split.train) * options.epochs
    return Plan(pending=pending, finished=tuple(finished), samples=samples, split=split, targets=targets)


def _questions(cache: Cache, tasks: Mapping[str, Task], options: TrainingOptions) -> tuple[Split, Targets]:
    """Splits all sound samples and makes every task's targets; each side must have some of each task."""
    rows = [row for row, sample in enumerate(cache.rows) if sample["status"] == "ok"]
    split = split_rows(
        rows,
        [sample["id"] for sample in cache.rows],
        [sample["group"] for sample in cache.rows],
        train_share=options.train_share,
        validation_share=options.validation_share,
    )
    targets = {
        name: {row: target for row in rows if (target := task.target(cache.rows[row])) is not None}
        for name, task in tasks.items()
    }
    for name, by_row in targets.items():
        for side in SIDES:
            if not by_row.keys() & set(getattr(split, side)):
                raise ProbeError(
                    f"no sample of the {side} split has an annotation for the task {name!r} ({len(by_row)} of "
                    f"{len(rows)} samples have one); extract samples that are annotated for it."
                )
    return split, targets


def _identity(cache: Cache, point: str, member: Member, split: Split, options: TrainingOptions) -> dict[str, Any]:
    return {
        **{"run": str(member), "point": point},
        **{"cache": cache.digest, "data": _data_digest(cache), "split": split.digest},
        **options.recipe(),
    }


def _finished(
    cache: Cache, point: str, member: Member, split: Split, options: TrainingOptions, out: Path
) -> Result | None:
    path = result_path(out, task=member.task, point=point, head=member.head, seed=member.seed)
    if not path.exists():
        return None
    result = load_result(path)
    parts = _identity(cache, point, member, split, options)
    if result.identity == identity(parts):
        return result
    stored = {
        **result.options,
        **{"cache": result.cache.get("digest"), "data": result.cache.get("data"), "split": result.split.get("digest")},
    }
    differing = sorted(name for name in stored.keys() & parts.keys() if stored[name] != parts[name])
    raise ProbeError(
        f"{path} was made with another {', '.join(differing) or 'run'}; "
        "write to another --out, or remove it to train that run again."
    )


def _train_point(
    cache: Cache,
    point: str,
    members: Sequence[Member],
    plan: Plan,
    options: TrainingOptions,
    chances: Mapping[Member, Result],
    advance: Advance,
) -> list[Result]:
    started = time.perf_counter()
    tasks = {name: task_registry.load(name) for name in dict.fromkeys(member.task for member in members)}
    source: Source = Constant() if point == MEAN_PREDICTOR else open_source(cache, point)
    data = FeatureData(source, plan.split, {name: plan.targets[name] for name in tasks}, options)
    bank = Bank(members, tasks, data.standardisation(), options, grid=data.grid, advance=advance)
    fit(bank, data)
    shared = {
        "point": point,
        "order": cache.points.index(point) if point in cache.points else -1,
        "cache": _provenance(cache),
        "width": source.width,
        "versions": _versions(),
        "wall_seconds": round(time.perf_counter() - started, 3),
        "company": len(members),
        "bytes_read": data.size * len(plan.split.train) // _count(plan.split) * options.epochs,
        "fresh": True,
    }
    return [_result(cache, bank, place, plan, chances, shared) for place in range(len(members))]


def _result(
    cache: Cache, bank: Bank, place: int, plan: Plan, chances: Mapping[Member, Result], shared: Mapping[str, Any]
) -> Result:
    member, options, best = bank.members[place], bank.options, bank.selections[place]
    task = bank.tasks[member.task]
    by_row = dict(sorted(bank.test_scores[place].items()))
    scores = list(by_row.values())
    samples = [cache.rows[row] for row in by_row]
    metrics = bootstrap(
        scores,
        [sample["group"] for sample in samples],
        task.metrics,
        resamples=options.resamples,
        confidence=options.confidence,
    )
    mean_predictor = chances.get(Member(member.task, task.constant_head or "", member.seed))
    return Result(
        identity=identity(_identity(cache, shared["point"], member, plan.split, options)),
        task=member.task,
        head=member.head,
        seed=member.seed,
        primary=task.primary,
        metrics=metrics,
        breakdown=task.breakdown(scores),
        validation={"value": best.value, "epoch": best.epoch},
        chance={name: each.value for name, each in (mean_predictor.metrics if mean_predictor else metrics).items()},
        options=options.to_json(),
        learning_rate=bank.learning_rate(place),
        split=_split_json(plan, member.task),
        parameters=sum(parameter.numel() for parameter in bank.heads[place].parameters()),
        scores=tuple(_sample_score(sample, found) for sample, found in zip(samples, scores, strict=True)),
        **shared,
    )


def _sample_score(sample: Mapping[str, Any], scores: np.ndarray) -> SampleScore:
    return SampleScore(sample["id"], sample["group"], tuple(float(score) for score in scores))


def _split_json(plan: Plan, task: str) -> dict[str, Any]:
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
        "data": _data_digest(cache),
        "path": cache.path,
        "model": fingerprint.get("model", {}),
        "dataset": fingerprint.get("dataset", {}).get("name", ""),
    }


def _data_digest(cache: Cache) -> str:
    """What the features were made from: the committed shards' tars. The fingerprint says only how they were made."""
    return identity({str(commit.shard): commit.source_sha256 for commit in cache.commits})


def _versions() -> dict[str, str]:
    names = ("foresight-cache", "torch", "torchvision", "pytorch-lightning", "scipy", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _member_of(result: Result) -> Member:
    return Member(result.task, result.head, result.seed)
