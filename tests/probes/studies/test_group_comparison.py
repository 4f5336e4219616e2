"""Groups of runs beside each other: the differences are those of the same samples, also under another loss."""

from typing import Any

import numpy as np
import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.calibration.state import CalibrationState
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result
from foresight_probes.results.scores import SampleScore
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import evidence as module
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import Table
from tests.probes.results.test_results import result
from tests.probes.studies.test_quality_by_factor import cache

STUDY = """\
name: losses
version: 1
title: Losses
question: Which loss?
model: own
datasets: {images: {dataset: drawn, split: train, samples: 90, media: image, size: 448}}
runs:
  pixels: {dataset: images, tasks: reconstruction, points: E4, heads: [token-linear, conv-decoder]}
  both:
    dataset: images
    tasks: reconstruction
    points: E4
    heads: token-linear
    options: {epochs: 5, perceptual_weight: 2}
measures:
  psnr: {title: PSNR, runs: pixels, task: reconstruction, metric: psnr}
  psnr-by-both: {title: PSNR, runs: both, task: reconstruction, metric: psnr}
  bytes: {title: bytes, bytes: true}
criteria:
  there: {title: pictures, measure: psnr, point: E4, levels: {good: "> 20"}}
decision:
  - {branch: GO, when: there.good, means: they are, next: Go on.}
  - {branch: STOP, when: otherwise, means: they are not, next: Stop.}
sections:
  MEASURES
"""
MEASURES = "losses: {kind: group-comparison, title: Losses, measures: [FIRST, SECOND], points: E4, heads: token-linear}"
GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.normal(20, 2, 90)
GAIN = GENERATOR.normal(-0.5, 0.2, 90)


@pytest.fixture(autouse=True)
def _fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "calibration_of", lambda *_: CalibrationState(calibrated="fit"))


def run(psnr: np.ndarray, head: str = "token-linear", weight: float = 0.0, chosen_by: float = 1.0) -> Result:
    """A run of which nothing but PSNR is known; by both losses their negative sum stands before it."""
    first = [(-9.0,)] * len(psnr) if weight else [()] * len(psnr)
    rows = [(*begin, float(value), *[float("nan")] * 4) for begin, value in zip(first, psnr, strict=True)]
    mean = float(psnr.mean())
    changes: dict[str, Any] = {"learning_rate": 0.01} if weight else {"strength": 1.0}
    return result(
        **{"task": "reconstruction", "point": "vit.pre_merge", "head": head, "identity": f"{head}{weight}"},
        primary="negative_loss" if weight else "psnr",
        options=TrainingOptions(perceptual_weight=weight).to_json(),
        metrics={"psnr": Interval(mean, mean - 0.4, mean + 0.4)},
        validation={"value": chosen_by, "epoch": 1, **changes},
        not_measured={},
        breakdown={},
        chance={},
        scores_source=tuple(SampleScore(f"{n}", f"{n}", row) for n, row in enumerate(rows)),
    )


def table(first: str, second: str, both: list[Result]) -> Table:
    own = STUDY.replace("MEASURES", MEASURES.replace("FIRST", first).replace("SECOND", second))
    study = parse_study(own, "losses.yaml")
    pixels = [run(PIXELS), run(PIXELS + 5, "conv-decoder", chosen_by=9.0)]
    evidence = Evidence(study=study, results={"pixels": pixels, "both": both}, caches={"images": cache()})
    request = study.sections["losses"]
    (part,) = sections.load(request.kind).parts(evidence, request)
    assert isinstance(part, Table)
    return part


@pytest.mark.parametrize(("first", "second", "sign"), [("psnr", "psnr-by-both", 1), ("psnr-by-both", "psnr", -1)])
def test_the_difference_is_that_of_the_same_samples_and_of_the_named_head(first: str, second: str, sign: int) -> None:
    shown = table(first, second, [run(PIXELS + GAIN, weight=2.0)])
    one, other = shown.rows
    assert [row[3] for row in shown.rows] == ["token-linear", "token-linear"]
    values = {row[2]: row[4].value for row in shown.rows if isinstance(row[4], Interval)}
    assert values == pytest.approx({"pixels": PIXELS.mean(), "both": (PIXELS + GAIN).mean()})
    assert one[5] is None
    difference = other[5]
    assert isinstance(difference, Interval)
    assert difference.value == pytest.approx(sign * GAIN.mean())
    drawn = np.random.default_rng(0).choice(GAIN, (4000, 90)).mean(1).std()
    assert (difference.high - difference.low) / 2 == pytest.approx(1.99 * drawn, rel=0.15)
    assert {row[2]: row[6] for row in shown.rows} == {"pixels": "solved", "both": "trained"}
    weight = "perceptual_weight 2 and not 0.0" if sign > 0 else "perceptual_weight 0.0 and not 2"
    assert weight in shown.note
    assert "epochs" in shown.note


def test_what_is_not_there_is_not_measured_and_bytes_are_no_metric() -> None:
    shown = table("psnr", "psnr-by-both", [])
    assert shown.rows[1][4] == "not measured: reconstruction was not trained on vit.pre_merge"
    with pytest.raises(ProbeError, match="bytes is no metric of runs"):
        table("psnr", "bytes", [])
