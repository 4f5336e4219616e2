"""Measures over a factor: each value stands at its place, and differences are those of the samples."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from foresight_cache.errors import ManifestError, ProbeError
from foresight_probes.calibration.state import CalibrationState
from foresight_probes.results.result import Result
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import evidence as module
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import Lines, OfRuns, Table
from foresight_probes.studies.study import Study
from tests.probes.studies.test_evidence import run
from tests.support.planted_stages import TAPS

STUDY = """\
name: factors
version: 1
title: Factors
question: What matters?
model: own
datasets:
  images:
    {dataset: drawn, split: train, samples: 90, media: image, size: 448, variants:
      {224: {size: 224}, 336: {size: 336}, merged-2: {merged: 2}, wide: {size: 448x896}, other: {model: another}}}
runs:
  boxes:
    dataset: images
    tasks: boxes
    points: [E4, E5]
    heads: [mlp, token-linear]
    variants: [336, 224, merged-2, wide, other]
measures:
  iou: {title: box IoU, runs: boxes, task: boxes, metric: mean_iou}
  bytes: {title: bytes, bytes: true}
criteria:
  there: {title: boxes, measure: iou, point: E4, levels: {good: "> 0.5"}}
decision:
  - {branch: GO, when: there.good, means: they are, next: Go on.}
  - {branch: STOP, when: otherwise, means: they are not, next: Stop.}
sections:
  size: {kind: quality-by-factor, title: Sizes, measures: iou, factor: size, points: E4}
  merging: {kind: quality-by-factor, title: Merging, measures: iou, factor: merging, points: E4}
  model: {kind: quality-by-factor, title: Models, measures: iou, factor: model, points: E4}
  parameters: {kind: quality-by-factor, title: Heads, measures: iou, factor: parameters, points: [E4, E5]}
  layer: {kind: quality-by-factor, title: Layers, measures: iou, factor: layer, points: [E4, E5]}
  bytes: {kind: quality-by-factor, title: Bytes, measures: bytes, factor: layer, points: E4}
"""
BASE = np.array([0.4, 0.5, 0.6] * 30)


def study(text: str = STUDY) -> Study:
    return parse_study(text, "factors.yaml")


def cache(size: str = "448x448", name: str = "own", **fingerprint: Any) -> Any:
    points = ("vit.pre_merge", "vit.post_merge")
    own = {"model": {"taps": list(TAPS), "name": name}, "input": {"size": size}, **fingerprint}
    return SimpleNamespace(points=points, fingerprint=own)


@pytest.fixture(autouse=True)
def _fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "calibration_of", lambda *_: CalibrationState(calibrated="fit"))


def at(point: str, values: np.ndarray, head: str = "mlp", chosen_by: float = 0.5, **changes: Any) -> Result:
    return run(point, head, list(values), chosen_by, **{"identity": f"{point}{head}{values.sum()}", **changes})


def parts(name: str, results: dict[str, list[Result]], **caches: Any) -> tuple[Lines, Table]:
    own = study()
    given = {"images": cache(), **{f"images.{variant.replace('_', '-')}": one for variant, one in caches.items()}}
    evidence = Evidence(study=own, results=results, caches=given)
    request = own.sections[name]
    lines, table = sections.load(request.kind).parts(evidence, request)
    assert isinstance(lines, Lines)
    assert isinstance(table, Table)
    return lines, table


def test_sizes_stand_at_their_pixels_in_order_and_differences_are_the_means_of_samples() -> None:
    gain = np.where(np.arange(90) % 2, 0.05, 0.15)
    results = {
        "boxes": [at("vit.pre_merge", BASE)],
        "boxes@224": [at("vit.pre_merge", BASE - gain)],
        "boxes@wide": [at("vit.pre_merge", BASE + 0.02)],
    }
    lines, table = parts(
        "size", results, **{"224": cache("224x224"), "wide": cache("448x896"), "other": cache(name="another")}
    )
    (series,) = lines.series
    assert series.name == "vit.pre_merge"
    assert series.places == pytest.approx((224, 448, 448 * 2**0.5))
    assert [value.value for value in series.values if isinstance(value, Interval)] == pytest.approx([0.4, 0.5, 0.52])
    rows = {str(row[1]): row for row in table.values}
    assert list(rows) == ["224x224", "336", "448x448", "448x896"]
    assert rows["336"][3] == "not measured: no cache of images.336 was given"
    assert rows["224x224"][4] is None
    difference = rows["448x448"][4]
    assert isinstance(difference, Interval)
    assert difference.value == pytest.approx(gain.mean())
    drawn = np.random.default_rng(0).choice(gain, (4000, 90)).mean(1).std()
    assert (difference.high - difference.low) / 2 == pytest.approx(1.99 * drawn, rel=0.1)
    own, differing = next(row[3:5] for row in table.rows if row[1] == "448x448")
    assert isinstance(own, OfRuns)
    assert own.results == (results["boxes"][0],)
    assert isinstance(differing, OfRuns)
    assert differing.results == (results["boxes"][0], results["boxes@224"][0])
    assert "vit.pre_merge: it still gains at the last one, 448x896." in table.note
    assert "at each input's own size" in table.note


def test_mergings_and_models_stand_by_name() -> None:
    results = {
        "boxes": [at("vit.pre_merge", BASE)],
        "boxes@merged-2": [at("vit.pre_merge", BASE - 0.1)],
        "boxes@other": [at("vit.pre_merge", BASE + 0.1)],
    }
    caches = {"merged_2": cache(tokens={"merged": 2}), "other": cache(name="another")}
    lines, table = parts("merging", results, **caches)
    assert lines.series[0].places == ("none", "2×2")
    assert "from none on no later one is better" in table.note
    assert [row[1] for row in table.values] == ["none", "2×2"]
    lines, table = parts("model", results, **caches)
    assert lines.series[0].places == ("own", "another")


def test_heads_stand_at_their_parameters_on_a_logarithmic_axis() -> None:
    """Each is read by itself, whichever validation would choose."""
    results = {
        "boxes": [
            at("vit.pre_merge", BASE, "mlp", 0.1, parameters=5_000_000),
            at("vit.pre_merge", BASE - 0.2, "token-linear", 0.9, parameters=1_000),
            at("vit.post_merge", BASE - 0.3, "token-linear", 0.9, parameters=2_000),
        ]
    }
    lines, table = parts("parameters", results)
    assert lines.is_log
    assert {own.name: own.places for own in lines.series} == {
        "vit.pre_merge": (1_000.0, 5_000_000.0),
        "vit.post_merge": (2_000.0,),
    }
    assert [row[1:3] for row in table.values[:2]] == [("1,000", "token-linear"), ("5,000,000", "mlp")]
    difference = table.values[1][4]
    assert isinstance(difference, Interval)
    assert difference.value == pytest.approx(0.2)
    missing = next(row for row in table.values if row[:2] == ("vit.post_merge", "mlp"))
    assert str(missing[3]).startswith("not measured")


def test_layers_are_the_axis() -> None:
    results = {"boxes": [at("vit.pre_merge", BASE), at("vit.post_merge", BASE - 0.1)]}
    lines, table = parts("layer", results)
    assert lines.series[0].places == ("vit.pre_merge", "vit.post_merge")
    assert table.columns[0] == "layer"
    assert [row[0] for row in table.values] == ["vit.pre_merge", "vit.post_merge"]


def test_what_cannot_be_drawn_is_said() -> None:
    own = study()
    found = Evidence(study=own, results={}, caches={"images": cache()})
    with pytest.raises(ProbeError, match="bytes is no metric of runs"):
        sections.load("quality-by-factor").parts(found, own.sections["bytes"])
    with pytest.raises(ProbeError, match="iou has no value at E4"):
        sections.load("quality-by-factor").parts(found, own.sections["size"])
    with pytest.raises(ManifestError, match="unknown factor 'sizes'; did you mean 'size'"):
        study(STUDY.replace("factor: size", "factor: sizes"))
