"""The hallucination of an answer, by hand."""

import math

import pytest

from tests.support.task_samples import load, sample, slots


def test_hallucination() -> None:
    task = load("hallucination")
    rows = [sample(qa={"hallucinated": answer}) for answer in (True, False)]
    targets = [target for row in rows if (target := task.target(row)) is not None]
    assert [target.item() for target in targets] == [1, 0]
    assert task.target(sample(qa={"hallucinated": None})) is None
    assert task.target(sample()) is None
    assert task.loss(slots([[[1.0, 1.0]], [[0.0, 0.0]]]), targets).item() == pytest.approx(math.log(2))
    assert task.loss(slots([[[-9.0, 9.0]], [[9.0, -9.0]]]), targets).item() < 1e-6
    assert task.metrics(task.scores(slots([[[0.3, 0.1]], [[0.9, 0.5]]]), targets))["auroc"] == 1
