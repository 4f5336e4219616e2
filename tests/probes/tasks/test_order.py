"""The order of the frames of a clip."""

from typing import Any

import torch

from foresight_cache.samples import Grid
from tests.support.task_samples import clip, load, sample


class TestOrder:
    def rows(self, count: int) -> list[dict[str, Any]]:
        return [sample() | {"id": f"some/train/{number}", "grid_patch": (3, 1, 2)} for number in range(count)]

    def test_half_of_the_clips_are_reversed_and_stay_so(self) -> None:
        rows = self.rows(200)
        task = load("order", *rows)
        answers = [task.answer(row) for row in rows]  # type: ignore[attr-defined]
        assert 80 < answers.count("reversed") < 120
        assert answers == [load("order", *rows[::-1]).answer(row) for row in rows]  # type: ignore[attr-defined]

    def test_images_have_no_order(self) -> None:
        assert not load("order").has_target(sample())

    def test_time_steps_are_turned_around_and_their_tokens_are_not(self) -> None:
        """Two clips of three and of two steps of two tokens; the first is reversed, the second stays."""
        task = load("order", *self.rows(20))
        grids = (Grid(3, 1, 2), Grid(2, 1, 2))
        values = torch.arange(12.0).reshape(2, 6, 1)
        answers = [torch.tensor(task.classes.index(name)) for name in ("reversed", "forward")]  # type: ignore[attr-defined]
        found, targets = task.transform_batch(clip(values, grids), answers)
        assert found.tokens[..., 0].tolist() == [[4, 5, 2, 3, 0, 1], [6, 7, 8, 9, 10, 11]]
        assert values[0, 0, 0] == 0
        assert list(targets) == answers
        turned, _ = task.transform_batch(clip(values, grids), answers[::-1])
        assert turned.tokens[..., 0].tolist() == [[0, 1, 2, 3, 4, 5], [8, 9, 6, 7, 10, 11]]

    def test_clips_that_were_played_backwards_are_told_by_the_table_and_left_alone(self) -> None:
        rows = [row | {"reversed": number % 3 == 0} for number, row in enumerate(self.rows(9))]
        task = load("order", *rows)
        assert [task.answer(row) == "reversed" for row in rows] == [row["reversed"] for row in rows]  # type: ignore[attr-defined]
        assert not task.transforms_batch
        assert not task.plants_answers
        assert load("order", *self.rows(3)).transforms_batch

    def test_what_a_clip_shows_backwards_is_no_answer_of_the_clip(self) -> None:
        action = {"action": {"label": "a", "template": "t", "class": "c", "class_id": 3, "direction": "left"}}
        for played, direction, class_id in ((None, "left", 3), (False, "left", 3), (True, None, None)):
            row = sample(**action) | {"reversed": played}
            assert load("direction", row).answer(row) == direction  # type: ignore[attr-defined]
            assert load("action", row).answer(row) == class_id  # type: ignore[attr-defined]
