"""The checks of an instrument, a task with a head: the points on which it is trained, and what each is to show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from foresight_probes import heads, tasks
from foresight_probes.calibration.facts import Subject
from foresight_probes.calibration.geometries import GEOMETRIES
from foresight_probes.calibration.planted import PlantedCache, PlantedPoint
from foresight_probes.calibration.questions import QUESTIONS, ROWS, Question
from foresight_probes.training.solvers import solver_of

Rule = Literal["present", "absent", "known", "fair", "product", "few"]
"""What a check asks: that what is there is read; that nothing is read where nothing is; that the best is reached that
noise allows; that all geometries read the same; that a product is found in hard geometries; and that few samples cost
no more than they cost a closed form."""

SOLVED_BY = {"class": "logistic", "values": "ridge"}
"""Heads on the mean over tokens that are closed forms, by the targets of a task (`Task.closed_form`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instrument:
    """A task with a head."""

    task: str
    head: str

    def __str__(self) -> str:
        return f"{self.task}/{self.head}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One point of a planted cache on which an instrument is trained."""

    rule: Rule
    cache: PlantedCache
    point: PlantedPoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How much is checked: samples of the planted caches, and geometries."""

    train: int = 700
    validation: int = 150
    test: int = 1000
    few: int | None = 137
    """Training samples of the check with few; None to leave it out."""
    geometries: tuple[str, ...] = tuple(GEOMETRIES)
    hard: tuple[str, ...] = ("aniso", "llm")
    """Geometries in which a product is looked for, besides `base`."""
    products: bool = True
    """True to ask heads that are not linear for what a sign hides."""
    absent: tuple[Subject, ...] = ("nothing", "places")
    """Points on which nothing is to be read."""
    trained_share: float = 1.0
    """Share of the samples on which heads are checked that are trained, which takes longer."""
    one_trained: bool = False
    """True to check, of the heads of a task that are trained and not solved, only the first."""
    of_trained: tuple[Rule, ...] = get_args(Rule)
    """Rules that trained heads are held to; solved ones are held to all."""


FULL = Extent()
QUICK = Extent(
    train=600,
    validation=240,
    test=600,
    trained_share=0.3,
    few=None,
    geometries=("base", "outch", "aniso"),
    hard=(),
    products=False,
    absent=("nothing",),
    one_trained=True,
    of_trained=("present", "absent"),
)
"""What is checked in minutes."""


def instruments(extent: Extent, names: Sequence[str] | None = None) -> list[Instrument]:
    """Returns the tasks of these names, or all that have a question, each with its default heads.

    Raises `UnknownName` for a task that does not exist.
    """
    chosen = []
    for name in tasks.names() if names is None else names:
        task = tasks.load(name)
        solved = [head for head in task.heads if solver_of(task, head)]
        trained = [head for head in task.heads if head not in solved]
        kept = {*solved, *(trained[:1] if extent.one_trained else trained)}
        chosen += [Instrument(task=name, head=head) for head in task.heads if head in kept and name in QUESTIONS]
    return chosen


def checks(instrument: Instrument, extent: Extent) -> list[Check]:
    """Returns the checks of an instrument."""
    question, head = QUESTIONS[instrument.task], heads.load(instrument.head)
    subjects = dict.fromkeys(question.subjects[own] for own in head.information if own in question.subjects)
    is_solved = solver_of(tasks.load(instrument.task), instrument.head) is not None
    caches = {subject: _cache(question, subject, extent, is_solved=is_solved) for subject in subjects}
    listed = [check for subject in subjects for check in _of_subject(subject, caches[subject], instrument, extent)]
    if caches:
        cache = next(iter(caches.values()))
        listed += [Check(rule="absent", cache=cache, point=PlantedPoint(subject)) for subject in extent.absent]
    return [check for check in listed if is_solved or check.rule in extent.of_trained]


def reference_head(instrument: Instrument) -> str | None:
    """Returns the linear head that few samples are compared with; None for a head that is solved or linear itself.

    It is a closed form where the task has one of samples, and else the first linear head of the task, which starts from
    a closed form.
    """
    task = tasks.load(instrument.task)
    if solver_of(task, instrument.head) or heads.is_linear_head(instrument.head):
        return None
    if task.closed_form and "per_sample" in heads.load(instrument.head).predicts:
        return SOLVED_BY[task.closed_form]
    return next(filter(heads.is_linear_head, task.heads), None)


def _of_subject(subject: Subject, cache: PlantedCache, instrument: Instrument, extent: Extent) -> Iterator[Check]:
    question = QUESTIONS[instrument.task]
    noisy, product = question.noisy(subject), question.product(subject)
    is_linear = heads.load(instrument.head).is_linear
    hidden = replace(cache, world=question.product_world or question.world)
    yield Check(rule="present", cache=cache, point=PlantedPoint(subject))
    if not is_linear and extent.products:
        yield Check(rule="present", cache=hidden, point=PlantedPoint(subject, product))
    if question.has_known_best:
        yield Check(rule="known", cache=cache, point=PlantedPoint(subject, "snr"))
    named = question.geometries(subject)
    for geometry in (own for own in extent.geometries if own in named):
        own = replace(cache, rows=2 * cache.rows) if GEOMETRIES[geometry].is_fine else cache
        yield Check(rule="fair", cache=own, point=PlantedPoint(subject, noisy, geometry))
    if not is_linear and extent.hard and named:
        for geometry in ("base", *extent.hard):
            yield Check(rule="product", cache=hidden, point=PlantedPoint(subject, product, geometry))
    if extent.few and named and reference_head(instrument):
        for geometry in ("base", "w3584"):
            yield Check(
                rule="few", cache=replace(cache, train=extent.few), point=PlantedPoint(subject, noisy, geometry)
            )


def _cache(question: Question, subject: Subject, extent: Extent, *, is_solved: bool) -> PlantedCache:
    share = 1.0 if is_solved else extent.trained_share
    train, validation, test = (round(share * size) for size in (extent.train, extent.validation, extent.test))
    return PlantedCache(world=question.world, rows=ROWS[subject], train=train, validation=validation, test=test)
