"""Text alone and a blank input tell no more than the mean predictor, and where they might it is said."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from foresight_cache.errors import ProbeError
from foresight_cache.samples import Grid
from foresight_probes.report.run_links import RunLinks
from foresight_probes.results.result import Result
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.joining import join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import OfRuns, Table
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import carry_out
from tests.probes.results.test_results import result
from tests.support.command import foresight
from tests.support.preparing import prepare

STUDY = """\
name: blind
version: 1
title: Counting without a look
question: What is told without pictures?
model: tiny:qwen2_5_vl
datasets:
  pictures: {dataset: coco, split: train, samples: 150, media: image}
  blanks: {dataset: coco, split: train, samples: 150, media: image}
runs:
  pictures:
    {dataset: pictures, tasks: counting, points: [E4, E7], heads: pooled-linear, controls: false}
  blanks: {dataset: blanks, tasks: counting, points: [E4, E7], heads: pooled-linear, controls: false}
measures:
  count: {title: R² of the number of objects, runs: pictures, task: counting, metric: r2}
  error: {title: error of the number of objects, runs: pictures, task: counting, metric: mae}
  blank: {title: R² of blank pictures, runs: blanks, task: counting, metric: r2}
  bytes: {title: bytes, bytes: true}
criteria:
  counted: {title: counted, measure: count, point: E4, levels: {well: "> 0.9"}}
decision:
  - {branch: ANY, when: otherwise, means: it was tried, next: Go on.}
sections:
  blind: {kind: blind-baselines, title: Without a look, measures: [count, error]}
  room: {kind: blind-baselines, title: Room, measures: bytes}
"""
SIDE = 56


def pictures(root: Path, count: int, *, blank: bool) -> None:
    """One to four white squares on black, or grey pictures with the same annotations."""
    (root / "train").mkdir(parents=True)
    (root / "annotations").mkdir()
    generator, annotations = np.random.default_rng(0), []
    for number in range(count):
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        for quarter in generator.permutation(4)[: generator.integers(1, 5)]:
            y, x = 28 * (quarter // 2) + 4, 28 * (quarter % 2) + 4
            pixels[y : y + 20, x : x + 20] = 255
            box = [int(x), int(y), 20, 20]
            annotations.append(
                {"id": len(annotations), "image_id": number, "bbox": box, "area": 400, "iscrowd": 0, "category_id": 1}
            )
        shown = np.full_like(pixels, 128) if blank else pixels
        own = PngInfo()  # files that are the same to the byte would be one group
        own.add_text("number", str(number))
        Image.fromarray(shown).save(root / "train" / f"{number:04d}.png", pnginfo=own)
    images = [{"id": each, "file_name": f"{each:04d}.png", "width": SIDE, "height": SIDE} for each in range(count)]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "square"}]}
    (root / "annotations" / "instances_train.json").write_text(json.dumps(document))


def cache(folder: Path, *, blank: bool) -> str:
    pictures(folder / "raw", 150, blank=blank)
    prepare("coco", root=folder / "raw", split="train", out=folder / "shards")
    words = ("--model", "tiny:qwen2_5_vl", "--points", "E4,E7", "--size", SIDE, "--out", folder / "cache")
    run = foresight("extract", folder / "shards", *words)
    assert run.returncode == 0, run.stderr
    return str(folder / "cache")


@pytest.mark.slow
def test_what_is_read_from_blank_pictures_is_the_mean_predictor(tmp_path: Path) -> None:
    """The reading is solved from the features of a blank cache, the other is computed from targets alone."""
    study = parse_study(STUDY, "blind.yaml")
    given = [f"{name}={cache(tmp_path / name, blank=name == 'blanks')}" for name in ("pictures", "blanks")]
    evidence = carry_out(plan_study(study, join(study, given), tmp_path / "out", Settings())).findings.evidence
    (table,) = sections.load("blind-baselines").parts(evidence, study.sections["blind"])
    assert isinstance(table, Table)
    title, text, blank, remark = table.values[0]
    assert title == "R² of the number of objects"
    assert isinstance(blank, Interval)
    assert (text, remark) == (blank, None)
    points = evidence.points(("E4", "E7"), "blank")
    assert len(points) == 2
    for point in points:
        read = evidence.reading("blank", point).interval
        seen = evidence.reading("count", point).interval
        assert read
        assert seen
        assert (read.value, read.low, read.high) == pytest.approx((blank.value, blank.low, blank.high), abs=1e-4)
        assert seen.value > blank.value + 0.2, "pictures are not blank"
    assert abs(blank.value) < 0.1
    cell = table.rows[0][2]
    assert isinstance(cell, OfRuns)
    address = RunLinks(tmp_path / "out").to(cell.results[0])
    assert json.loads((tmp_path / "out" / address).read_text())["metrics"]["r2"]["value"] == blank.value


MORE = (
    STUDY.replace(
        "measures:\n",
        "  moving: {dataset: pictures, tasks: next-frame, points: E4}\n"
        "  drawn: {dataset: pictures, tasks: reconstruction, points: E4}\nmeasures:\n"
        "  moved: {title: R² of the next frame, runs: moving, task: next-frame, metric: r2}\n"
        "  psnr: {title: PSNR, runs: drawn, task: reconstruction, metric: psnr}\n",
    )
).replace("[count, error]", "[count, error, moved, psnr]")
VALUE = Interval(0.0, -0.1, 0.1)
TIMES = "the language model is told when frames are shown"


def constant(task: str, primary: str, *metrics: str) -> Result:
    values = dict.fromkeys((primary, *metrics), VALUE)
    return result(task=task, point="mean-predictor", head="constant", primary=primary, metrics=values)


def row(number: int = 0, *, side: int = 56, status: str = "ok", times: tuple[float, ...] | None = None) -> Any:
    grids = {"grid_pixel": Grid(1, side, side), "grid_patch": Grid(1, side // 14, side // 14), "grid_merged": None}
    return {"id": f"{number}", "status": status, "media": "clip", "frame_times": times, **grids}


def found(rows: list[Any], measure: str = "count", **model: Any) -> tuple[Any, ...]:
    """The cells of a measure: of text alone, of a blank input, and the remark."""
    study = parse_study(MORE, "blind.yaml")
    own: Any = SimpleNamespace(rows=rows, fingerprint={"model": model})
    constants = {
        "pictures": [constant("counting", "r2", "mae")],
        "drawn": [constant("reconstruction", "psnr")],
    }
    evidence = Evidence(study=study, results={}, mean_predictors=constants, caches={"pictures": own})
    (table,) = sections.load("blind-baselines").parts(evidence, study.sections["blind"])
    assert isinstance(table, Table)
    return {name: cells for name, (_, *cells) in zip(study.sections["blind"].measures, table.values, strict=True)}[
        measure
    ]


def test_both_are_the_mean_predictor_where_prompt_and_size_are_the_same() -> None:
    rows = [row(0), row(1), row(2, side=28, status="bad")]
    assert found(rows, prompt="Describe the image.") == [VALUE, VALUE, None]
    assert found(rows, "error", prompt="")[2] == "the constant that is best by r2"


def test_a_question_of_each_sample_tells_something() -> None:
    text, blank, _ = found([row(0)], prompt="Answer: {question}")
    assert (
        text
        == blank
        == ("not measured: each sample has a question of its own in its prompt, which may tell something of the answer")
    )


def test_a_size_of_its_own_is_seen_and_a_model_without_text_has_none() -> None:
    text, blank, _ = found([row(0), row(1, side=28)])
    assert text == "not measured: the model is given no text"
    assert blank == "not measured: inputs are of 2 sizes, which a head sees in the number of tokens"


def test_times_that_differ_are_told_to_the_language_model() -> None:
    same, other = (
        [row(0, times=(0.0, 1.0)), row(1, times=(0.0, 1.0))],
        [row(0, times=(0.0, 1.0)), row(1, times=(0.0, 2.0))],
    )
    assert found(same, prompt="", assumed_rate=24.0) == [VALUE, VALUE, None]
    text, blank, remark = found(other, prompt="", assumed_rate=24.0)
    assert (text, blank) == (VALUE, VALUE)
    assert TIMES in remark
    assert found(other, prompt="")[2] is None, "a model that is told none"


def test_answers_of_places_and_features_are_no_constant_of_a_text() -> None:
    text, blank, _ = found([row(0)], "psnr", prompt="")
    assert text == "not measured: there is an answer for each place in the input, and text has no such places"
    assert blank == VALUE
    text, blank, _ = found([row(0)], "moved", prompt="")
    assert text == blank
    assert "the answers of next-frame are features" in text


def test_what_is_no_metric_of_runs_is_refused() -> None:
    study = parse_study(STUDY, "blind.yaml")
    with pytest.raises(ProbeError, match="^bytes is no metric of runs, which alone have a mean predictor$"):
        sections.load("blind-baselines").parts(Evidence(study=study, results={}, caches={}), study.sections["room"])
