"""Sections that look into finished runs: what they show is what the runs predict, and the same each time."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from foresight_cache.errors import ManifestError, ProbeError
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.predictions import drawing
from foresight_probes.predictions.kept_run import predict
from foresight_probes.predictions.shown import boxes_of, classes_of, reconstruction
from foresight_probes.report.run_links import RunLinks
from foresight_probes.results.result import Result
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.joining import join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import Lines, OfRuns, Part, Pictures, Table
from foresight_probes.studies.pictured import chosen, sample_values
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.rater_export import export
from foresight_probes.studies.running import carry_out
from foresight_probes.training import candidates
from pipelines import studies
from tests.support import planted_stages

STUDY = """\
name: pictured
version: 1
title: What heads predict
question: Does it look right?
model: planted
datasets:
  scenes: {dataset: planted-several, split: train, samples: 120, media: image}
runs:
  boxes:
    {dataset: scenes, tasks: boxes, points: [E4, E5], heads: token-linear, controls: false,
     options: {epochs: 1, learning_rate: 0.001, patience: 1, resamples: 50, device: cpu}}
  pictures:
    {dataset: scenes, tasks: reconstruction, points: [E4, E5], heads: token-linear, controls: false,
     options: {resamples: 50}}
  patches:
    {dataset: scenes, tasks: patch-class, points: [E4], heads: token-linear, controls: false,
     options: {epochs: 1, learning_rate: 0.001, patience: 1, resamples: 50, device: cpu}}
measures:
  iou: {title: IoU one to one, runs: boxes, task: boxes, metric: mean_iou}
  best: {title: IoU by best match, runs: boxes, task: boxes, metric: best_match_iou}
  centre: {title: error of centres in pixels, runs: boxes, task: boxes, metric: centre_error_pixels}
  psnr: {title: PSNR, runs: pictures, task: reconstruction, metric: psnr}
  miou: {title: mIoU, runs: patches, task: patch-class, metric: miou}
scores:
  both:
    title: half of both
    terms: [{measure: iou, weight: 0.5}, {measure: best, weight: 0.5}]
    points: E4
    bands: {all: "> 0"}
criteria:
  near: {title: near, measure: centre, point: E4, levels: {well: "< 32"}}
  loses: {title: loses, measure: best, point: E5, against: E4, levels: {some: "< 0"}}
decision:
  - {branch: SEEN, when: otherwise, means: it was looked at, next: Look on.}
sections:
  overlap: {kind: measures-by-point, title: Overlap, measures: [iou, best, both], points: [E4, E5]}
  differing: {kind: differences, title: Differences, measures: best, points: E5, against: E4}
  pixels: {kind: pixel-errors, title: Pixels, measures: iou, points: [E4, E5], values: [8, 0.5]}
  boxes: {kind: box-gallery, title: Boxes, measures: [iou, best], points: [E4, E5]}
  drawn: {kind: reconstructions, title: Drawn, measures: psnr, points: [E4, E5]}
  edges: {kind: edge-maps, title: Edges, measures: psnr, points: [E4, E5], values: 0}
  labels: {kind: label-maps, title: Labels, measures: miou, points: E4, values: [0.5]}
  frequencies: {kind: lost-frequencies, title: Frequencies, measures: psnr, points: [E4, E5], samples: 8}
  boundaries:
    {kind: boundary-errors, title: Boundaries, measures: psnr, points: E5, against: E4, samples: 8}
  wrong: {kind: box-gallery, title: Wrong, measures: psnr, points: E4}
raters: {measure: psnr, points: [E4, E5], questions: [recognisable, colours right], samples: 4}
"""


STAGES = {"vit.pre_merge": "objects.linear", "vit.post_merge": "picture.linear"}


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    root = tmp_path_factory.mktemp("pictured")
    planted = PlantedCache(world="several", train=70, validation=20, test=30, seed=3, rows=8)
    planted_stages.write(root / "cache", planted, STAGES)
    study = parse_study(STUDY, "pictured.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "TOKEN_INPUTS", ("channels",))
        plan = plan_study(study, join(study, [str(root / "cache")]), root / "out", Settings())
        return carry_out(plan).findings.evidence


def shown(evidence: Evidence, name: str) -> list[Part]:
    request = evidence.study.sections[name]
    return sections.load(request.kind).parts(evidence, request)


def result_of(evidence: Evidence, group: str, point: str) -> Result:
    (own,) = (result for result in evidence.results[group] if result.point == point)
    return own


def overlaps(one: Sequence[float], other: Sequence[float]) -> float:
    """IoU of two boxes by hand."""
    sides = [max(0.0, min(one[k + 2], other[k + 2]) - max(one[k], other[k])) for k in (0, 1)]
    areas = [(own[2] - own[0]) * (own[3] - own[1]) for own in (one, other)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


def test_the_best_match_is_the_mean_over_true_objects_of_the_best_box(evidence: Evidence) -> None:
    result = result_of(evidence, "boxes", "vit.pre_merge")
    best = []
    for own in predict(result, evidence.caches["scenes"]):
        truth, boxes = boxes_of(own)
        best += [max((overlaps(box, thing) for box in boxes), default=0.0) for thing in truth]
    table = shown(evidence, "overlap")[0]
    assert isinstance(table, Table)
    assert table.columns == ("point", "IoU one to one", "IoU by best match", "half of both")
    (point, iou, found, both), (other, *_) = table.values
    assert (point, other) == ("vit.pre_merge", "vit.post_merge")
    assert isinstance(found, Interval)
    assert isinstance(iou, Interval)
    assert isinstance(both, Interval)
    assert found.value == pytest.approx(np.mean(best), abs=1e-6)
    assert iou == result.metrics["mean_iou"]
    assert found.low < found.value < found.high
    assert found.value >= iou.value > 0.3
    assert both.value == pytest.approx((iou.value + found.value) / 2)
    (row,) = shown(evidence, "differing")[0].values  # type: ignore[union-attr]
    assert isinstance(row[4], Interval)
    assert row[4].value == pytest.approx(row[2].value - found.value)  # type: ignore[union-attr]


def test_what_is_derived_decides_criteria_and_says_what_it_does_not_count(evidence: Evidence) -> None:
    reading = evidence.reading("centre", "vit.pre_merge")
    assert reading.interval
    assert 0 < reading.interval.value < 8  # of 32 pixels
    refitted = replace(result_of(evidence, "boxes", "vit.pre_merge"), refits={"mean_iou": (0.1, 0.2)})
    other = replace(evidence, results={"boxes": [refitted]}, readings={})
    said = other.reading("best", "vit.pre_merge").caution
    assert "intervals of best_match_iou do not count other training samples" in said
    lost = replace(refitted, scores_source=refitted.scores)
    reading = replace(evidence, results={"boxes": [lost]}, readings={}).reading("best", "vit.pre_merge")
    assert reading.interval is None
    assert reading.reason == "the files of boxes by token-linear-seed0 on vit.pre_merge are not known"


def test_only_the_tasks_metrics_can_be_derived() -> None:
    wrong = STUDY.replace("task: reconstruction, metric: psnr", "task: reconstruction, metric: best_match_iou")
    with pytest.raises(ManifestError, match="unknown metric of the task 'reconstruction' 'best_match_iou'"):
        parse_study(wrong, "mine.yaml")


def test_errors_in_pixels(evidence: Evidence) -> None:
    (table,) = shown(evidence, "pixels")
    assert isinstance(table, Table)
    assert table.columns[-2:] == ("within 8 px", "within 0.5 px")
    by_point = {row[0]: row for row in table.values}
    row = by_point["vit.pre_merge"]
    result = result_of(evidence, "boxes", "vit.pre_merge")
    assert row[1] == sum(len(score.scores) for score in result.scores)
    assert all(isinstance(cell, Interval) for cell in row[2:])
    values = [cell.value for cell in row[2:] if isinstance(cell, Interval)]
    assert values[0] <= values[1]
    assert values[2] <= values[3]
    within = by_point["vit.post_merge"][-2:]  # where less is known
    assert 1 > within[0].value > within[1].value  # type: ignore[union-attr]
    assert values[0] == evidence.reading("centre", "vit.pre_merge").interval.value  # type: ignore[union-attr]


def test_galleries_show_the_boxes_of_the_worst_the_median_and_the_best(evidence: Evidence) -> None:
    part, by_best_match = shown(evidence, "boxes")
    assert isinstance(part, Pictures)
    result = result_of(evidence, "boxes", "vit.pre_merge")
    means = sorted((float(np.mean(score.scores)), score.id) for score in result.scores)
    expected = [means[0], means[round((len(means) - 1) / 2)], means[-1]]
    row = part.rows["vit.pre_merge"]
    captions = [f"{value:.3f}: {name}" for value, name in expected]
    assert [picture.caption for picture in row] == [
        f"worst, {captions[0]}",
        f"median, {captions[1]}",
        f"best, {captions[2]}",
    ]
    assert all(picture.pixels.dtype == np.uint8 and max(picture.pixels.shape) <= drawing.SIDE for picture in row)
    (own,) = predict(result, evidence.caches["scenes"], {expected[2][1]})
    x0, y0, _, y1 = (boxes_of(own)[0][0] * drawing.SIDE).round().astype(int)
    side = row[2].pixels[y0 : y1 + 1, x0]
    is_true, is_predicted = ((side == colour).all(-1) for colour in (drawing.TRUE, drawing.PREDICTED))
    assert (is_true | is_predicted).mean() > 0.9  # a good prediction lies over it, with gaps
    assert is_true.mean() > 0.3
    for again, first in zip(shown(evidence, "boxes"), (part, by_best_match), strict=True):
        assert isinstance(again, Pictures)
        assert isinstance(first, Pictures)
        assert list(again.rows) == ["vit.pre_merge", "vit.post_merge"]
        for point, row in again.rows.items():
            assert [np.array_equal(a.pixels, b.pixels) for a, b in zip(row, first.rows[point], strict=True)] == [
                True
            ] * 3


def test_reconstructions_are_those_of_the_head(evidence: Evidence) -> None:
    parts = shown(evidence, "drawn")
    assert [isinstance(part, Pictures) for part in parts] == [True] * 3
    values = [sample_values(result_of(evidence, "pictures", point), "psnr") for point in STAGES]
    means = {name: (values[0][name] + values[1][name]) / 2 for name in values[0]}
    worst, best = min(means, key=lambda name: means[name]), max(means, key=lambda name: means[name])
    assert parts[0].title == f"PSNR, worst: {worst}"
    assert parts[2].title == f"PSNR, best: {best}"
    (own,) = predict(result_of(evidence, "pictures", "vit.post_merge"), evidence.caches["scenes"], {best})
    ((found,), (truth,)) = reconstruction(own)
    assert 10 * np.log10(1 / np.square(found - truth).mean()) == pytest.approx(values[1][best], abs=1e-3)
    shown_best = parts[2]
    assert isinstance(shown_best, Pictures)
    original, drawn, error = shown_best.rows["vit.post_merge"]
    stored = evidence.caches["scenes"]["pixels"].stored(own.row).reshape(32, 32, 3)
    assert np.array_equal(original.pixels[::7, ::7], stored)
    assert np.array_equal(drawn.pixels[::7, ::7], (255 * found).round())
    assert error.pixels.std() > 0


def test_edges_and_labels_are_drawn(evidence: Evidence) -> None:
    (edges,) = shown(evidence, "edges")
    assert isinstance(edges, Pictures)
    assert list(edges.rows) == ["vit.pre_merge", "vit.post_merge"]
    assert set(np.unique(edges.rows["vit.post_merge"][1].pixels)) == {0, 255}
    (labels,) = shown(evidence, "labels")
    assert isinstance(labels, Pictures)
    picture, true, found = labels.rows["vit.pre_merge"]
    name = labels.title.rpartition(": ")[2]
    (own,) = predict(result_of(evidence, "patches", "vit.pre_merge"), evidence.caches["scenes"], {name})
    truth, _ = classes_of(own)
    for row, column in np.argwhere(truth == 0):
        middle = (row * 28 + 14, column * 28 + 14)
        assert np.array_equal(true.pixels[middle], picture.pixels[middle])
    assert own.task.class_name(int(truth.max())) in true.caption
    assert found.caption.startswith("predicted, ")


def test_frequencies_and_boundaries(evidence: Evidence) -> None:
    figure, table = shown(evidence, "frequencies")
    assert isinstance(figure, Lines)
    assert isinstance(table, Table)
    assert [series.name for series in figure.series] == ["vit.pre_merge", "vit.post_merge"]
    assert all(0 < place < 0.5 for place in figure.series[0].places)  # type: ignore[operator]
    assert [row[3] for row in table.values] == [0.125, 0.125]  # 8 tokens over 32 pixels
    errors, *pictures = shown(evidence, "boundaries")
    assert isinstance(errors, Table)
    assert [row[0] for row in errors.values] == ["vit.pre_merge", "vit.post_merge"]
    for row in errors.values:
        near, inside, difference = row[1:4]
        assert isinstance(near, Interval)
        assert isinstance(inside, Interval)
        assert isinstance(difference, Interval)
        assert difference.value == pytest.approx(near.value - inside.value)
    first, second = errors.values
    assert first[4] is None
    assert isinstance(second[4], Interval)
    assert second[4].value == pytest.approx(second[1].value - first[1].value)  # type: ignore[union-attr]
    assert len(pictures) == 3
    assert "Boundaries are those of boxes." in errors.note


def test_numbers_have_the_runs_of_their_points(evidence: Evidence) -> None:
    links = RunLinks(Path.cwd(), {own.identity: own for group in evidence.results.values() for own in group})
    for name in ("overlap", "differing", "pixels", "frequencies", "boundaries"):
        (table,) = (part for part in shown(evidence, name) if isinstance(part, Table))
        for row in table.rows:
            point = next(cell for cell in row if str(cell).startswith("vit."))
            assert not [cell for cell in row if isinstance(cell, Interval)], "a number without a run"
            cells = [cell for cell in row if isinstance(cell, OfRuns)]
            assert cells
            assert name == "differing" or {cell.results[0].point for cell in cells} == {point}
            assert all((Path.cwd() / links.to(own)).is_file() for cell in cells for own in cell.results)


def test_a_section_says_why_there_is_nothing(evidence: Evidence) -> None:
    with pytest.raises(ProbeError, match="^psnr is of the task reconstruction, expected .* boxes or position$"):
        shown(evidence, "wrong")
    path = result_of(evidence, "pictures", "vit.pre_merge").scores_source
    assert isinstance(path, Path)
    weights = path.with_suffix(".safetensors")
    moved = weights.rename(weights.with_suffix(".moved"))
    try:
        (part,) = shown(evidence, "edges")
        assert isinstance(part, Pictures)
        assert list(part.rows) == ["vit.post_merge"]
        assert "At vit.pre_merge nothing is shown: " in part.note
        assert "safetensors is not there" in part.note
    finally:
        moved.rename(weights)


@pytest.mark.parametrize("name", studies.names())
def test_sections_of_the_studies_are_of_tasks_that_they_can_show(name: str) -> None:
    study, looking = studies.load(name), 0
    for request in study.sections.values():
        tasks = getattr(import_module(type(sections.load(request.kind)).__module__), "TASKS", ())
        looking += bool(tasks)
        assert not tasks or {study.measures[measure].task for measure in request.measures} <= set(tasks), request.title
    assert looking or name in ("halp", "latentlens"), "a study of pictures without a section that shows any"


def test_lower_is_better_for_errors() -> None:
    values = {"a": 3.0, "b": 1.0, "c": 2.0}
    assert chosen(values, "centre_error_pixels") == {"a": "worst", "c": "median", "b": "best"}
    assert chosen(values, "mean_iou", (1.0, 0.0)) == {"a": "best", "b": "worst"}
    assert chosen({}, "mean_iou") == {}


def test_no_grad_is_left_on(evidence: Evidence) -> None:
    next(iter(predict(result_of(evidence, "boxes", "vit.pre_merge"), evidence.caches["scenes"])))
    assert torch.is_grad_enabled()


def test_raters_get_pictures_whose_order_tells_nothing(evidence: Evidence, tmp_path: Path) -> None:
    raters = evidence.study.raters
    assert raters
    assert export(evidence, raters, tmp_path / "one") == 8
    sheet, key = (pd.read_csv(tmp_path / "one" / name, dtype=str) for name in ("ratings.csv", "key.csv"))
    assert list(sheet.columns) == ["picture", "recognisable", "colours right"]
    assert sheet[["recognisable", "colours right"]].isna().all(axis=None)
    assert list(sheet.picture) == list(key.picture) == [f"{number:04d}" for number in range(1, 9)]
    assert set(key.groupby("sample").point.nunique()) == {2}
    assert list(key.point) not in (sorted(key.point), sorted(key.point, reverse=True))
    last = key.iloc[-1]
    (predicted,) = predict(result_of(evidence, "pictures", last.point), evidence.caches["scenes"], [last["sample"]])
    found, truth = (own[0] for own in reconstruction(predicted))
    for name, picture in (("reconstruction", found), ("original", truth)):
        written = np.asarray(Image.open(tmp_path / "one" / "pictures" / f"0008-{name}.png"))
        assert np.array_equal(written[3::7, 3::7], np.round(255 * picture.clip(0, 1)).astype(np.uint8))
    export(evidence, raters, tmp_path / "two")
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
