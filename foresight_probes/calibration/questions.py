"""The question that each task asks of a planted cache: in which scenes, and where its answer stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from foresight_probes.batches import Information
from foresight_probes.calibration.facts import RELATIONS, Subject
from foresight_probes.calibration.forms import Form
from foresight_probes.calibration.geometries import GEOMETRIES
from foresight_probes.calibration.scenes import ACTIONS, DIRECTIONS, KINDS, World

_SHARED_BY_ALL: Mapping[Subject, tuple[Form, Form]] = MappingProxyType(
    {
        **dict.fromkeys(("objects", "picture", "states"), ("token_product", "token_snr")),
        **dict.fromkeys(("answers", "relation", "lists", "motion"), ("product", "mild_snr")),
    }
)
"""Forms in which facts of tokens, or facts that all tokens share, hide behind a sign and stand in many geometries."""
ROWS: Mapping[Subject, int] = MappingProxyType(
    {
        **dict.fromkeys(("objects", "picture"), 8),
        **dict.fromkeys(("answers", "relation", "lists"), 4),
        **dict.fromkeys(("motion", "states"), 3),
    }
)
"""Rows and columns of the grid on which facts stand; coarse where they are the same in all tokens."""
MOST_DECIBELS = 34.0
"""Ceiling of a peak signal-to-noise ratio: pixels right to two hundredths of their range."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a task asks, and how its metric is measured."""

    world: World
    subjects: Mapping[Information, Subject]
    """Facts that hold the answer, by the information that a head can read."""
    ceiling: float = 1.0
    """Primary metric of an answer that is right."""
    unit: float = 1.0
    """Difference of the primary metric that counts as 1 in tolerances: 1 for a metric from 0 to 1."""
    chance: float | None = None
    """Primary metric of who knows nothing, where all answers are as likely; None for that of the mean predictor, which
    here is only the class that happened to be the most frequent one among the training samples."""
    product_world: World | None = None
    """Scenes in which facts hide behind a sign; None for those of the world. A sign before the boxes of many objects
    would ask how many products so few samples teach, and not whether a head can find one."""
    has_known_best: bool = True
    """True where the best answer under noise is known."""
    in_geometries: tuple[str, ...] | None = None
    """Geometries in which the question is the same; None for all."""
    averages: bool = False
    """True where the tokens of an object are averaged: on a finer grid there are more, each with noise of its own."""
    places_tell: bool = False
    """True where the places of tokens alone are an answer, because the target is made of the features."""

    def product(self, subject: Subject) -> Form:
        """Returns the form in which a sign hides the facts from linear heads."""
        return _SHARED_BY_ALL[subject][0]

    def geometries(self, subject: Subject) -> tuple[str, ...]:
        """Returns the geometries in which the question is the same."""
        named = tuple(GEOMETRIES) if self.in_geometries is None else self.in_geometries
        tells_more = self.averages and self.noisy(subject) == "token_snr"
        return tuple(name for name in named if not (tells_more and GEOMETRIES[name].is_fine))

    def noisy(self, subject: Subject) -> Form:
        """Returns the form of the facts that stand in many geometries."""
        return _SHARED_BY_ALL[subject][1]


def _same(subject: Subject) -> Mapping[Information, Subject]:
    return MappingProxyType({"mean": subject, "token": subject, "place": subject})


_TOKENS: Mapping[Information, Subject] = MappingProxyType({"token": "objects", "place": "objects"})
_BOXES: Mapping[Information, Subject] = MappingProxyType({"mean": "lists", **_TOKENS})
_PICTURE: Mapping[Information, Subject] = MappingProxyType({"token": "picture", "place": "picture"})
_NOT_FINE = ("base", "w1280", "w3584", "scaled", "outch", "sinks", "aniso", "llm")
"""A cell of a finer grid has fewer pixels, so that noise is another for each."""

QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "position": Question(world="single", subjects=_BOXES, averages=True),
        "boxes": Question(world="several", subjects=_BOXES, averages=True, product_world="single"),
        "naive-boxes": Question(world="several", subjects=_BOXES, has_known_best=False, in_geometries=()),
        "detection": Question(world="several", subjects=_TOKENS),
        "patch-class": Question(world="several", subjects=_TOKENS),
        "counting": Question(world="several", subjects=_same("answers")),
        "hallucination": Question(world="several", subjects=_same("answers")),
        "classification": Question(world="several", subjects=_same("answers"), chance=1 / KINDS),
        "relation": Question(world="pair", subjects=_same("relation"), chance=1 / len(RELATIONS)),
        "reconstruction": Question(
            world="several", subjects=_PICTURE, ceiling=MOST_DECIBELS, unit=20.0, in_geometries=_NOT_FINE
        ),
        "edges": Question(world="several", subjects=_PICTURE, in_geometries=_NOT_FINE),
        "direction": Question(world="clip", subjects=_same("motion"), chance=1 / len(DIRECTIONS)),
        "speed": Question(world="clip", subjects=_same("motion")),
        "action": Question(world="clip", subjects=_same("motion"), chance=1 / ACTIONS),
        "order": Question(world="clip", subjects=_same("motion"), chance=1 / 2),
        "next-frame": Question(world="clip", subjects=_same("states"), chance=0.0, in_geometries=(), places_tell=True),
    }
)
"""Questions by task. The target of `next-frame` is the features themselves, so that in another geometry, whose noise no
frame foretells, it is another question. Features that only tell their place do not change, which is easily foretold.
The mean predictor, of as many means as there are cells, is a little below the R² of a constant, which is 0."""
