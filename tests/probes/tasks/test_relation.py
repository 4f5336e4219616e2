"""The relation of two objects, by hand."""

import pytest

from tests.support.task_samples import load, sample, thing


class TestRelation:
    @pytest.mark.parametrize(
        ("first", "second", "answer"),
        [
            ([0, 40, 20, 60], [100, 40, 120, 60], "left"),
            ([100, 40, 120, 60], [0, 45, 20, 65], "right"),
            ([40, 0, 60, 20], [40, 50, 60, 70], "above"),
            ([40, 50, 60, 70], [50, 0, 70, 20], "below"),
            ([0, 0, 20, 20], [80, 40, 100, 60], None),  # 0.4 of the width and 0.4 of the height: not clear
            ([0, 0, 20, 20], [0, 0, 20, 20], None),
        ],
    )
    def test_answers(self, first: list[float], second: list[float], answer: str | None) -> None:
        """Of the object with the lower category id, whichever is annotated first."""
        task = load("relation", sample(objects=[thing(first, 2), thing(second, 7)]))
        assert task.answer(sample(objects=[thing(second, 7), thing(first, 2)])) == answer  # type: ignore[attr-defined]

    def test_only_of_two_objects_of_different_categories(self) -> None:
        left, right = [0, 40, 20, 60], [100, 40, 120, 60]
        asked = sample(objects=[thing(left, 1), thing(right, 2)])
        task = load("relation", asked)
        assert task.has_target(asked)
        for objects in (
            [thing(left, 1)],
            [thing(left, 1), thing(right, 1)],
            [thing(left, 1), thing(right, 2), thing(right, 3)],
            [thing(left, 1), thing(right, 2, crowd=True)],
        ):
            assert not task.has_target(sample(objects=objects))
