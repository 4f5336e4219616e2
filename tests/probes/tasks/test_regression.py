"""Tasks that predict a number, by hand."""

import numpy as np
import pytest

from tests.support.task_samples import load, sample, slots, thing, value


class TestQuantities:
    def test_counting(self) -> None:
        """Predictions are in standard deviations from the mean: here 1 from 2."""
        rows = [sample(objects=[thing([0, 0, 1, 1])] * count) for count in (1, 3)]
        task = load("counting", *rows)
        targets = [target for row in rows if (target := task.target(row)) is not None]
        assert [target.item() for target in targets] == [1, 3]
        assert task.loss(slots([[[-1.0]], [[1.0]]]), targets).item() == 0
        assert task.loss(slots([[[0.0]], [[0.0]]]), targets).item() == 1
        metrics = task.metrics(task.scores(slots([[[-1.3]], [[0.4]]]), targets))
        assert metrics["mae"] == pytest.approx((0.3 + 0.6) / 2)
        assert metrics["accuracy"] == 0.5
        assert task.target_values(targets[1], None).tolist() == [[1.0]]

    def test_counting_nothing_is_zero_and_counting_a_crowd_is_no_question(self) -> None:
        assert value(load("counting").target(sample(objects=[]))) == 0
        assert load("counting").target(sample(objects=[thing([0, 0, 1, 1], crowd=True)])) is None
        assert load("counting").target(sample()) is None

    def test_equal_answers_have_no_scale_though_their_mean_is_rounded(self) -> None:
        rows = [sample(motion={"objects": [{"speed": 20.0}]}) for _ in range(28)]
        task = load("speed", *rows)
        other = task.target(sample(motion={"objects": [{"speed": 40.0}]}))
        assert np.std([0.1] * 28) > 0
        assert other is not None
        assert task.loss(slots([[[0.0]]]), [other]).item() == pytest.approx(0.01)

    def test_speed_is_a_fraction_of_the_width(self) -> None:
        row = sample(motion={"objects": [{"speed": 10.0}, {"speed": 30.0}]})
        assert value(load("speed").target(row)) == pytest.approx(0.1)
        assert load("speed").target(sample(motion={"objects": []})) is None
