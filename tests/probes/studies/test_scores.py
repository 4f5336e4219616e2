"""The retention score against cases that were worked by hand, and its interval against the spread of its parts."""

from collections.abc import Sequence

import numpy as np
import pytest

from foresight_probes.results.result import Result
from foresight_probes.results.scores import SampleScore
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.scores import score_interval
from foresight_probes.studies.study import Term
from pipelines import studies
from tests.probes.results.test_results import result

HANDMADE = [
    (0.85, 0.3, 0.8, 1.0),  # each term is its whole weight
    (0.425, 1.0, 0.0, 0.2),  # 0.4 × 0.5, nothing else
    (0.68, 0.3, 0.4, 0.77),  # 0.32 + 0.30 + 0.15
    (0.0, 0.65, 0.8, 0.45),  # 0 + 0.15 + 0.30
    (0.17, 0.86, 0.2, 0.215),  # 0.08 + 0.06 + 0.075
]
"""IoU, LPIPS, edge F1, and 0.4 (IoU / 0.85) + 0.3 ((1 - LPIPS) / 0.7) + 0.3 (edge F1 / 0.8) by hand."""


def boxes(overlaps: Sequence[float], **changes: object) -> Result:
    """Images of one object each."""
    scores = tuple(SampleScore(f"{n}", f"{n}", (value,)) for n, value in enumerate(overlaps))
    return result(task="boxes", scores_source=scores, **changes)


def pictures(lpips: Sequence[float], edges: Sequence[float], **changes: object) -> Result:
    """Images with LPIPS and edge F1."""
    scores = tuple(
        SampleScore(f"{n}", f"{n}", (20.0, 0.5, distance, edge, 0.1))
        for n, (distance, edge) in enumerate(zip(lpips, edges, strict=True))
    )
    return result(task="reconstruction", primary="psnr", scores_source=scores, **changes)


def irs(iou: Result, picture: Result) -> Interval:
    terms = studies.load("q2").scores["irs"].terms
    of = {"iou": (iou, "mean_iou"), "lpips": (picture, "lpips"), "edge-f1": (picture, "edge_f1")}
    return score_interval([(term, *of[term.measure]) for term in terms])


@pytest.mark.parametrize(("iou", "lpips", "edges", "expected"), HANDMADE)
def test_the_retention_score_by_hand(iou: float, lpips: float, edges: float, expected: float) -> None:
    found = irs(boxes([iou] * 60), pictures([lpips] * 60, [edges] * 60))
    assert found.value == pytest.approx(expected)
    assert (found.low, found.high) == pytest.approx((expected, expected))


def test_its_interval_is_that_of_the_sum() -> None:
    """Three independent parts: half of the interval is 1.96 times the root of the sum of their squared errors."""
    generator = np.random.default_rng(0)
    iou, lpips, edges = generator.normal(0.5, 0.1, (3, 400))
    found = irs(boxes(list(iou)), pictures(list(lpips), list(edges)))
    errors = [0.4 / 0.85 * iou.std(), 0.3 / 0.7 * lpips.std(), 0.3 / 0.8 * edges.std()]
    half = 1.96 * np.linalg.norm(errors) / 400**0.5
    assert found.high - found.low == pytest.approx(2 * half, rel=0.12)


def test_parts_that_vary_together_are_counted_so() -> None:
    """What makes a picture hard for both adds up; of opposite signs it cancels."""
    hard = np.random.default_rng(1).normal(0, 0.1, 400)
    level = [0.5] * 400
    together = irs(boxes(list(0.5 + hard)), pictures(level, list(0.5 + 0.4 / 0.85 / (0.3 / 0.8) * hard)))
    against = irs(boxes(list(0.5 + hard)), pictures(level, list(0.5 - 0.4 / 0.85 / (0.3 / 0.8) * hard)))
    one = 1.96 * 0.4 / 0.85 * hard.std() / 400**0.5
    assert together.high - together.low == pytest.approx(4 * one, rel=0.12)
    assert against.high - against.low == pytest.approx(0, abs=0.1 * one)


def test_refits_are_counted_where_all_parts_have_them() -> None:
    """Jackknife of four parts: (K - 1) / K Σ (θ - mean)² of the score's own values."""
    values = (0.4, 0.5, 0.5, 0.6)
    iou = boxes([0.5] * 60, refits={"mean_iou": values})
    term = Term(measure="iou", weight=1.0)
    found = score_interval([(term, iou, "mean_iou")])
    error = (3 / 4 * (0.1**2 + 0.1**2)) ** 0.5
    assert found.high - found.low == pytest.approx(2 * 3.182 * error, rel=0.01)  # Student's, 3 degrees of freedom
    picture = pictures([0.3] * 60, [0.4] * 60)
    alone = score_interval([(term, iou, "mean_iou"), (Term(measure="lpips", weight=1.0), picture, "lpips")])
    assert alone.high == pytest.approx(alone.low)
