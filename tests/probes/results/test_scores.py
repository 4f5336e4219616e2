"""Scores as they are gathered from batches."""

import numpy as np
import pytest

from foresight_probes.results.scores import Gathered


def test_rows_and_scores_stay_together_in_any_order() -> None:
    matrix, ragged = Gathered(), Gathered()
    for rows in ([5, 2], [9], [0, 7]):
        matrix.add(rows, np.array([[row, -row] for row in rows]))
        ragged.add(rows, [np.full(row, row) for row in rows])
    assert matrix.rows.tolist() == ragged.rows.tolist() == [0, 2, 5, 7, 9]
    assert np.asarray(matrix.scores)[:, 1].tolist() == [0, -2, -5, -7, -9]
    assert [each.tolist() for each in ragged.scores] == [[row] * row for row in (0, 2, 5, 7, 9)]


def test_as_many_scores_as_rows() -> None:
    with pytest.raises(ValueError, match="2 scores came for 1 samples"):
        Gathered().add([3], np.zeros((2, 4)))
