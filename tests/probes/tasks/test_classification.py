"""Tasks that choose one of several classes, by hand."""

import math
from typing import Any

import pytest

from foresight_cache.samples import Grid
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
