"""What the numbers of a detector say: whether it knows more of an answer than the category of its question."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foresight_probes.hallucination.detection_metrics import detection_metrics
from foresight_probes.hallucination.within_groups import FEWEST_OF_EACH, paired_differences, within_groups
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.statistics.groups import fewest as fewest_groups
from foresight_probes.statistics.interval import Interval

ERROR = 0.01
"""Chance that intervals of a reading miss, shared out among the detectors that are read."""
MARGIN = 0.1
"""Distance from an AUROC of 0.5 within which a whole interval must lie to be called chance."""

Status = Literal["beyond-category", "category-only", "neither", "undecided"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A verdict with the intervals that decide it."""

    status: Status
    sentence: str
    within: Interval | None
    """Mean AUROC of the detector within categories; None where no category has enough answers of both kinds."""
    category: Interval | None
    """AUROC of the category's rate alone, over all questions."""
    difference: Interval | None
    """AUROC of the detector less that of the category's rate, over all questions."""
    confidence: float
    """Confidence of the three intervals."""


def read_detector(
    labels_S: np.ndarray,
    scores_S: np.ndarray,
    category_scores_S: np.ndarray,
    categories: Sequence[str],
    groups: Sequence[str],
    *,
    detectors: int = 1,
    resamples: int = 1000,
    seed: int = 0,
    fewest: int = FEWEST_OF_EACH,
) -> Reading:
    """Measures what `read` needs and reads it.

    The verdict is about the categories that are given: where benchmarks differ within an answer type, features that
    know the benchmark carry the label beyond the type. Such questions are given both together, "POPE yes-no", so that
    what is left is neither. Of several detectors, of which the best is read, `detectors` has the number.

    Args:
        labels_S: 1 for a hallucinated answer, 0 for another.
        scores_S: Score of the detector, the higher the likelier a hallucination.
        category_scores_S: Rate of each question's category in training (`category_rate`).
        categories: Category of each question.
        groups: Group of each, such as its image.
        detectors: Detectors that are read at once, among which `ERROR` is shared out.
        resamples: Resamples of groups.
        seed: Decides the draws.
        fewest: Samples of each label that a category needs to be counted.
    """
    confidence = 1 - ERROR / detectors
    settings = {"resamples": resamples, "confidence": confidence, "seed": seed}
    within = within_groups(labels_S, scores_S, categories, groups, fewest=fewest, **settings)  # type: ignore[arg-type]
    category = detection_metrics(labels_S, category_scores_S, groups, **settings)  # type: ignore[arg-type]
    both = {"detector": scores_S, "category": category_scores_S}
    (difference,) = paired_differences(
        labels_S,
        both,
        "category",
        categories,
        groups,
        fewest=fewest,
        **settings,  # type: ignore[arg-type]
    )
    return read(within.macro, category.auroc, difference.pooled, confidence=confidence, groups=effective_groups(groups))


def read(
    within: Interval | None,
    category: Interval | None,
    difference: Interval | None,
    *,
    confidence: float,
    groups: float = math.inf,
) -> Reading:
    """Reads three intervals of the same confidence by a rule that was set before.

    `beyond-category`: the interval within categories is above 0.5, which knowledge of the category cannot make. Where
    it knows nothing else, this is said in at most (1 - confidence) / 2 of cases, as far as intervals hold.
    `category-only`: the interval within categories is not above 0.5 and lies within `MARGIN` of it, the category's own
    is above 0.5, and the difference is not above 0.
    `neither`: the first of these, and the category's interval is not above 0.5 and lies within `MARGIN` of it too.
    `undecided`: anything else, and all where there are fewer effective `groups` than intervals need to hold
    (`statistics.groups.FEWEST`).
    """
    status, text = _verdict(within, category, difference)
    if groups < fewest_groups("auroc"):
        least = fewest_groups("auroc")
        status, text = "undecided", f"undecided: {groups:.0f} images, fewer than the {least:.0f} that a verdict needs"
    return Reading(
        status=status,
        sentence=text,
        within=within,
        category=category,
        difference=difference,
        confidence=confidence,
    )


def _verdict(within: Interval | None, category: Interval | None, difference: Interval | None) -> tuple[Status, str]:
    if within is None or category is None or difference is None:
        return "undecided", "undecided: no category has enough answers of both kinds"
    inside = f"mean AUROC within categories {_shown(within)}"
    alone, against = f"AUROC {_shown(category)}", f"detector less category {_shown(difference, signed=True)}"
    if within.low > 0.5:
        overall = "" if difference.low > 0 else ", though over all questions it is not seen to rank better than that"
        return (
            "beyond-category",
            f"the features carry the label beyond the category ({inside}; the category alone has an {alone}; "
            f"{against}){overall}",
        )
    if _is_chance(within) and category.low > 0.5 and difference.low <= 0:
        return (
            "category-only",
            f"the category alone predicts the label ({alone}), within categories the features are at chance ({inside}; "
            f"{against})",
        )
    if _is_chance(within) and _is_chance(category):
        return "neither", f"neither the features ({inside}) nor the category ({alone}) predict the label"
    return "undecided", f"undecided: {_doubt(within)} ({inside}; the category alone has an {alone}; {against})"


def _is_chance(interval: Interval) -> bool:
    """Returns whether an interval is not above 0.5 and shows that there is not more than `MARGIN`."""
    return 0.5 - MARGIN <= interval.low <= 0.5 and interval.high <= 0.5 + MARGIN


def _doubt(within: Interval) -> str:
    if _is_chance(within):
        return "within categories the features are at chance, but the category does not explain the rest"
    if within.high < 0.5:
        return "within categories the features rank the wrong way"
    return "the interval within categories holds both chance and what is far from it"


def _shown(interval: Interval, *, signed: bool = False) -> str:
    """Returns a value with the ends of its interval, in three digits.

    >>> _shown(Interval(0.5, 0.41, 0.6))
    '0.500 [0.410, 0.600]'
    """
    value, low, high = (
        f"{number:{'+' if signed else ''}.3f}" for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"
