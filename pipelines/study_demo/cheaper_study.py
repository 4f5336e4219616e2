"""The demo's variant of a study: the same questions, criteria and thresholds by fewer and cheaper runs."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foresight_probes.options import TrainingOptions
    from foresight_probes.studies.study import RunGroup, Study
    from foresight_probes.tasks import Task

CHANGES = (
    "fewer samples, of which 40 % train, 15 % select and 45 % are tested",
    "heads that measures or sections name; for other tasks those that are solved, or else a linear one",
    "one seed",
    "no controls and no refits in groups with a head that is trained; in the others 4 refits at most",
    "capacity heads, those on several points and HALP's of one step size and one epoch a round",
    "heads that are trained by LPIPS too at the last of their points alone, one epoch a round",
)
"""What the demo changes of a study, in words; all else is as in its file."""

TRAIN_SHARE, VALIDATION_SHARE = 0.4, 0.15
REFITS = 4
LINEAR = ("token-linear", "pooled-linear", "temporal-linear")
"""Heads of which the first is taken of tasks that none is solved for."""
CAPACITY = "capacity-"
"""Beginning of the names of heads that are compared with each other, and so large that an epoch takes minutes."""
_RATES = {CAPACITY: 0.0003, "halp-mlp": 0.001, "several-": 0.003}
"""Step sizes of heads whose search takes minutes, by the beginnings of their names."""


def demo_study(study: "Study") -> "Study":
    """Returns the variant of a study, under another name and digest; `CHANGES` tells what differs.

    The name keeps its runs apart from those of the study, the digest says that it is not the file's.
    """
    from foresight_cache.records import digest

    return replace(
        study,
        name=f"{study.name}-demo",
        title=f"{study.title}: a demo",
        digest=digest([study.digest, *CHANGES]),
        runs={name: _cheaper(group, _named(study, name)) for name, group in study.runs.items()},
    )


def _named(study: "Study", group: str) -> tuple[str, ...]:
    """Returns the heads that are named for a group of runs: by measures that anything is made of, and by sections."""
    from foresight_probes import heads

    used = set(_used(study))
    named = [own.heads for name, own in study.measures.items() if name in used and own.runs == group]
    named += [own.heads for own in study.sections.values() if own.runs == group]
    return heads.resolve(text for texts in named for text in texts or ())


def _used(study: "Study") -> Iterator[str]:
    """Yields the names of measures and scores that criteria, curves, scores, sections and the recommendation read."""
    yield from (own.measure for own in study.criteria.values())
    yield from (own.measure for own in study.curves.values())
    yield from (term.measure for score in study.scores.values() for term in score.terms)
    yield from (name for section in study.sections.values() for name in section.measures)
    if study.recommendation:
        yield study.recommendation.measure


def _cheaper(group: "RunGroup", named: tuple[str, ...]) -> "RunGroup":
    chosen = tuple(dict.fromkeys(head for task in group.tasks for head in _heads(task, group, named)))
    closed = all(_is_solved(task, head) for task in group.tasks for head in chosen if _fits(task, head, group))
    solved = closed and not group.options.perceptual_weight
    return replace(
        group,
        points=group.points[-1:] if group.options.perceptual_weight else group.points,  # LPIPS of each step takes long
        heads=chosen,
        seeds=group.seeds[:1],
        controls=group.controls and solved,
        options=_options(group.options, chosen, solved=solved),
    )


def _options(options: "TrainingOptions", heads: Iterable[str], *, solved: bool) -> "TrainingOptions":
    own = replace(
        options,
        train_share=TRAIN_SHARE,
        validation_share=VALIDATION_SHARE,
        refits=min(options.refits, REFITS) if solved else 0,
    )
    if options.perceptual_weight:
        return replace(own, epochs=1)
    rates = [rate for head in heads for start, rate in _RATES.items() if head.startswith(start)]
    return replace(own, epochs=1, learning_rate=min(rates)) if rates else own


def _heads(task: str, group: "RunGroup", named: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the heads of a task: those that measures name, or else all that are solved, or else one."""
    from foresight_probes import heads

    own = heads.resolve(group.heads) if group.heads else _task(task).heads
    fitting = [head for head in own if _fits(task, head, group)]
    if kept := tuple(head for head in fitting if head in named or head.startswith(CAPACITY)):
        return kept
    solved = [head for head in fitting if _is_solved(task, head)]
    linear = [head for head in LINEAR if head in fitting]
    return tuple(solved or linear[:1] or fitting[:1])


def _fits(task: str, head: str, group: "RunGroup") -> bool:
    from foresight_cache.samples import Grid
    from foresight_probes import heads
    from foresight_probes.features.sources import POINT_SEPARATOR
    from foresight_probes.training.solvers import solvable

    own = _task(task)
    fits = heads.fitting(head, own.outputs_for(width=1, grid=Grid(2, 1, 1)))
    several = any(POINT_SEPARATOR in point for point in group.points)
    return fits and solvable(own, head) and heads.takes_several(head) == several


def _is_solved(task: str, head: str) -> bool:
    from foresight_probes.training.solvers import solver_of

    return solver_of(_task(task), head) is not None


def _task(name: str) -> "Task":
    from foresight_probes import tasks

    return tasks.load(name)
