"""Tasks that choose one of several classes, by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresight_cache.errors import ProbeError, UnknownName
from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.tasks import TaskContext
from tests.support.command import foresight, said
from tests.support.task_samples import load, sample, slots, value


class TestChoices:
    def test_classes_are_those_that_occur_sorted(self) -> None:
        rows = [sample(action={"class_id": name}) for name in (40, 3, 7, 3)]
        task = load("action", *rows, sample())
        assert [value(task.target(row)) for row in rows] == [2, 0, 1, 0]
        assert task.outputs_for(width=5, grid=Grid(1, 1, 1)).channels == 3
        assert task.target(sample()) is None

    def test_loss_and_scores(self) -> None:
        rows = [sample(action={"class_id": name}) for name in range(3)]
        task = load("action", *rows)
        targets = [target for row in rows if (target := task.target(row)) is not None]
        prediction = slots([[[2.0, 0, 0]], [[0, 0, 0]], [[0, 3.0, 0]]])
        logs = [2 - math.log(math.e**2 + 2), -math.log(3), -math.log(math.e**3 + 2)]
        assert task.loss(prediction, targets).item() == pytest.approx(-sum(logs) / 3)
        metrics = task.metrics(task.scores(prediction, targets))
        assert metrics["accuracy"] == pytest.approx(1 / 3)
        assert metrics["top_5"] == 1

    def test_direction_is_that_of_all_moving_objects(self) -> None:
        def moving(*ways: str) -> dict[str, Any]:
            return {"motion": {"objects": [{"direction": way, "speed": 1.0} for way in ways]}}

        rows = [sample(**moving("left")), sample(**moving("up", "up")), sample(action={"direction": "down"})]
        task = load("direction", *rows)
        assert task.classes == ("down", "left", "up")  # type: ignore[attr-defined]
        assert [value(task.target(row)) for row in rows] == [1, 2, 0]
        bounces = sample(motion={"objects": [{"direction": None, "speed": 1.0}]})
        for none in (
            sample(**moving("left", "up")),
            bounces,
            sample(action={"direction": None}),
            sample(action={}),
            sample(),
        ):
            assert task.target(none) is None


class TestColumns:
    """The task `classification`, whose classes are what a column says."""

    def test_the_first_annotation_that_is_a_class_is_asked_for(self) -> None:
        kinds: list[dict[str, Any]] = [
            {"class": {"name": "cat", "id": 0}, "scene": "street"},
            {"class": {"name": "dog", "id": 1}, "scene": "street"},
            {"scene": "kitchen"},
        ]
        rows = [sample(**kinds[number]) for number in (0, 1, 1, 2)]
        task = load("classification", *rows)
        assert task.classes == ("cat", "dog")  # type: ignore[attr-defined]
        assert [task.target(row) for row in rows][3] is None
        assert [value(task.target(row)) for row in rows[:3]] == [0, 1, 1]
        assert task.annotations == ("class",)
        scenes = load("classification", *(sample(scene=name) for name in ("b", "a", "b")))
        assert scenes.classes == ("a", "b")  # type: ignore[attr-defined]
        actions = [sample(action={"class": name, "class_id": 1, "label": "l"}) for name in "xyx"]
        assert load("classification", *actions).classes == ("x", "y")  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("column", "classes"),
        [
            ("scene", ("kitchen", "street")),
            ("class", ("cat", "dog")),
            ("class.id", ("0", "1")),
            ("qa.hallucinated", ("False", "True")),
            ("split", ("test", "train")),
            ("width", ("100", "200")),
        ],
    )
    def test_any_column_can_be_asked_for(self, column: str, classes: tuple[str, ...]) -> None:
        rows = [asked(number % 2, number) for number in range(4)]
        task = tasks.load("classification", TaskContext(samples=rows, training=rows, column=column))
        assert task.classes == classes  # type: ignore[attr-defined]
        assert [value(task.target(row)) for row in rows] == [0, 1, 0, 1]
        assert set(task.annotations) == {column.partition(".")[0]} - {"split", "width"}

    @pytest.mark.parametrize(
        ("column", "error", "text"),
        [
            ("scen", UnknownName, "unknown column 'scen'; did you mean 'scene'"),
            (
                "media",
                ProbeError,
                "the column 'media' is 'image' for all 4 samples that have it, expected at least two",
            ),
            (
                "id",
                ProbeError,
                "the column 'id' is another for each of the 4 samples that have it, expected classes of",
            ),
        ],
    )
    def test_columns_that_are_no_classes(self, column: str, error: type[Exception], text: str) -> None:
        rows = [asked(number % 2, number) for number in range(4)]
        with pytest.raises(error, match=text):
            tasks.load("classification", TaskContext(samples=rows, training=rows, column=column))

    def test_without_any_class_a_column_must_be_named(self) -> None:
        with pytest.raises(ProbeError, match="no sample has a class, scene, action, so name the column .* --column id"):
            load("classification", sample(objects=[]), sample(objects=[]))


def asked(number: int, index: int) -> dict[str, Any]:
    """One of two kinds of samples."""
    annotations = {
        "class": {"name": ("cat", "dog")[number], "id": number},
        "scene": ("kitchen", "street")[number],
        "qa": {"question": "A cat?", "answer": None, "hallucinated": bool(number)},
        "captions": ["a", "b"],
    }
    of_table = {"id": f"some/train/{index}", "media": "image", "split": ("test", "train")[number]}
    return sample(**annotations) | of_table | {"width": (100, 200)[number]}


def test_the_classes_of_a_folder_of_images_are_read(tmp_path: Path) -> None:
    """Red and blue pictures, prepared, extracted and probed as a user does it; and the column decides what is asked."""
    for number in range(60):
        colour = ("red", "blue")[number % 2]
        path = tmp_path / "raw" / ("train", "val")[number % 3 == 0] / colour / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 200, (28, 28, 3), dtype=np.uint8)
        pixels[..., 0 if colour == "red" else 2] += 55
        Image.fromarray(pixels).save(path)
    for command in (
        ("prepare", "image-folder", "--root", tmp_path / "raw", "--out", tmp_path / "shards"),
        (
            *("extract", tmp_path / "shards", "--model", "tiny:dinov2", "--size", "28"),
            *("--points", "pixels,vit.patch_embed", "--out", tmp_path / "cache"),
        ),
    ):
        run = foresight(*command)
        assert run.returncode == 0, run.stderr
    train = ("train-probe", tmp_path / "cache", "--task", "classification", "--no-controls", "--points", "pixels")
    rows = json.loads(foresight(*train, "--out", tmp_path / "runs", "--json").stdout)
    (solved,) = [row for row in rows if row["head"] == "logistic"]
    assert (solved["metric"], solved["value"]) == ("accuracy", 1.0)
    message = said(*train, "--out", tmp_path / "runs", "--column", "split", status=1)
    assert "is the result of another run, whose column differed" in message
    split = json.loads(foresight(*train, "--out", tmp_path / "split", "--column", "split", "--json").stdout)
    assert next(row for row in split if row["head"] == "logistic")["value"] < 0.95
    assert "unknown column 'clas'; did you mean 'class" in said(
        *train, "--out", tmp_path / "x", "--column", "clas", status=2
    )
