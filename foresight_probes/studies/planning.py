"""The plan of a study: the sweeps of its groups of runs, what is missing, and the commands that would make it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_probes import controls
from foresight_probes.lens.judge_items import read_verdicts
from foresight_probes.lens.kept_words import WordPlan
from foresight_probes.studies.joining import Joined, commands_for, lacking_remarks
from foresight_probes.studies.judged_answers import foreign_answers, require_labels
from foresight_probes.studies.named_points import cached_points, lacking_points, named_points, single_points
from foresight_probes.studies.planned_words import plan_words
from foresight_probes.studies.study import RunGroup, Study
from foresight_probes.studies.twins import CONTROL, twin_for, twins_by_dataset
from foresight_probes.sweeps.divisions import WHOLE, Division
from foresight_probes.sweeps.plan import SweepPlan, plan_sweep
from foresight_probes.sweeps.sweep import Sweep
from foresight_probes.sweeps.targets import load_targets, usable_rows

RUNS = "runs"
"""Folder, in that of a study, of its runs, with a folder for each group."""
_LEAST_PER_REFIT = 2
"""Groups of samples for each part that is left out, below which nothing is fitted again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Options of a call of a study, which take the place of those of its file."""

    folds: int | None = None
    """Folds of all groups of runs; None for those of the file."""
    lpips_weights: Path | None = None
    """Folder with the weights of LPIPS; None for torch's cache of downloads."""
    device: str | None = None
    """Device to train on; None for that of the file."""
    shared_samples: bool = False
    """True where those samples alone are used that all caches of a dataset have."""
    answers: tuple[str, ...] = ()
    """Files of judged answers, each perhaps as `<dataset>=<file>`."""
    twins: tuple[str, ...] = ()
    """Places of caches of the same samples from random weights, each perhaps as `<dataset>=<cache>`."""
    indices: tuple[str, ...] = ()
    """Folders of indices of words, each perhaps as `<dataset>=<index>`."""
    verdicts: Path | None = None
    """What an outside judge said of words; None where nobody was asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyPlan:
    """What is to be trained for a study, what is there already, and what cannot be."""

    study: Study
    out: Path
    joined: Joined
    sweeps: Mapping[str, SweepPlan]
    """Plans by group of runs, of those that can be trained."""
    missing: Mapping[str, str]
    """Why a group, or `<group>.<task>`, cannot be trained, in words."""
    remarks: tuple[str, ...]
    """What is missing, with the command that would make it."""
    words: Mapping[str, WordPlan] = field(default_factory=dict)
    """Plans by group of words, of those that can be looked up."""
    verdicts: Mapping[str, bool] | None = None
    """What an outside judge said of words, by item."""


def plan_study(study: Study, joined: Joined, out: Path, settings: Settings) -> StudyPlan:
    """Plans all groups of runs; writes nothing.

    Raises as `plan_sweep` does, such as `ProbeError` where `out` has results of another cache or recipe, and
    `UsageError` where the study is about a model's answers and none is judged.
    """
    sweeps: dict[str, SweepPlan] = {}
    missing: dict[str, str] = {}
    remarks = [*joined.remarks, *_missing_datasets(study, joined), *foreign_answers(study, joined.caches)]
    require_labels(study, joined.caches)
    twins = twins_by_dataset(joined.caches, settings.twins)
    for name, group in study.runs.items():
        cache = joined.caches.get(group.dataset)
        if cache is None:
            missing[name] = f"no cache of {group.dataset} ({study.datasets[group.dataset].dataset}) was given"
            continue
        points, lacking = _points(group, cache)
        remarks += [*_unknown_remarks(group, cache), *lacking_remarks(cache, lacking)]
        if not points:
            missing[name] = f"{cache.path} has none of the points {', '.join(group.points)}"
            continue
        sweep, said = _sweep(group, cache, points, settings, twins.get(group.dataset))
        remarks += [f"{name}: {remark}" for remark in said]
        division = division_of(group)
        tasks, why = _usable_tasks(cache, sweep, division)
        missing |= {f"{name}.{task}": reason for task, reason in why.items()}
        remarks += [f"{name}: {task} is not trained: {reason}" for task, reason in why.items()]
        if tasks:
            sweeps[name], said = _with_refits(cache, replace(sweep, tasks=tasks), out / RUNS / name, division)
            remarks += [f"{name}: {remark}" for remark in said]
    words, without, said = plan_words(study, joined.caches, settings.indices, settings.device or "auto")
    return StudyPlan(
        study=study,
        out=out,
        joined=joined,
        sweeps=sweeps,
        words=words,
        verdicts=None if settings.verdicts is None else read_verdicts(settings.verdicts),
        missing=missing | without,
        remarks=tuple(dict.fromkeys([*remarks, *said])),
    )


def division_of(group: RunGroup) -> Division:
    """Returns how the samples of a group of runs are divided."""
    return Division(halvings=group.halved) if group.halved else WHOLE


def _missing_datasets(study: Study, joined: Joined) -> list[str]:
    return [
        f"no cache of {name} was given, so that its runs are not measured; it is made by: "
        f"{commands_for(study, name, wanted_points(study, name))}"
        for name in study.datasets
        if name not in joined.caches
    ]


def wanted_points(study: Study, dataset: str) -> list[str]:
    """Returns the texts for points that the runs and the words of a dataset want."""
    texts = [text for group in study.runs.values() if group.dataset == dataset for text in group.points]
    words = [group for group in study.words.values() if group.dataset == dataset]
    texts += [text for group in words for text in (*group.points, *group.text)]
    return list(dict.fromkeys(part for text in texts for part in single_points(text)))


def missing_points(study: Study, dataset: str, cache: Cache) -> tuple[str, ...]:
    """Returns the points that the runs of a dataset want by name and that its cache lacks, in order."""
    return lacking_points(wanted_points(study, dataset), cache)


def _points(group: RunGroup, cache: Cache) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the points of a group that a cache has, and those that it lacks and its model has."""
    named = [name for text in group.points for name in named_points(text, cache)]
    named += [PIXELS] if PIXELS in group.points else []
    return cached_points(named, cache), lacking_points(group.points, cache)


def _unknown_remarks(group: RunGroup, cache: Cache) -> list[str]:
    """Returns a remark for what names no point of a cache's model, such as layers of a language model that it lacks."""
    unknown = [text for text in group.points if text != PIXELS and not named_points(text, cache)]
    model = cache.fingerprint["model"].get("name", "without a name")
    return [f"the model {model} of {cache.path} has no point {', '.join(unknown)}"] if unknown else []


def _sweep(
    group: RunGroup, cache: Cache, points: tuple[str, ...], settings: Settings, twin: Cache | None
) -> tuple[Sweep, list[str]]:
    """Returns the sweep of a group, and what is said of it."""
    options, said = group.options, []
    if settings.folds is not None:
        options = replace(options, folds=settings.folds)
    if settings.device is not None:
        options = replace(options, device=settings.device)
    groups = len({cache.rows[row]["group"] for row in usable_rows(cache)})
    if options.refits and groups < _LEAST_PER_REFIT * options.refits:
        said = [f"{groups} groups of samples are too few for {options.refits} refits, so that intervals count none"]
        options = replace(options, refits=0)
    twin, without = twin_for(twin, points)
    named = (*(controls.names() if group.controls else ()), *([CONTROL] if twin else []))
    sweep = Sweep(
        tasks=group.tasks,
        points=points,
        heads=group.heads,
        seeds=group.seeds,
        options=options,
        controls=tuple(dict.fromkeys(named)),
        twin=twin.path if twin else None,
        lpips_weights=settings.lpips_weights,
    )
    return sweep, [*said, *without]


def _with_refits(cache: Cache, sweep: Sweep, out: Path, division: Division) -> tuple[SweepPlan, list[str]]:
    """Returns the plan of a sweep, without refits where one of them would lack samples, and what is said of that."""
    try:
        return plan_sweep(cache, sweep, out, division), []
    except ProbeError as error:
        if not sweep.options.refits:
            raise
        plan = plan_sweep(cache, replace(sweep, options=replace(sweep.options, refits=0)), out, division)
        return plan, [f"nothing is fitted again, so that intervals do not count it: {error}"]


def _usable_tasks(cache: Cache, sweep: Sweep, division: Division = WHOLE) -> tuple[tuple[str, ...], dict[str, str]]:
    """Returns the tasks that samples can be asked, in each fold where there are folds, and why the others cannot."""
    folds = range(sweep.options.folds or 0)
    divisions = [replace(division, fold=fold) for fold in folds] or [division]
    usable, why = [], {}
    for task in sweep.tasks:
        try:
            for part in divisions:
                load_targets(cache, (task,), sweep.options, sweep.lpips_weights, part)
        except (ProbeError, UsageError) as error:
            why[task] = str(error)
        else:
            usable.append(task)
    return tuple(usable), why
