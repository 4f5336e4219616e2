"""The box of a single object, by hand."""

import pytest
import torch

from foresight_cache.samples import Grid
from foresight_probes.batches import Prediction
from foresight_probes.features.patches import grid_cells
from tests.support.task_samples import load, sample, thing, tokens, value


class TestPosition:
    def test_only_a_single_object(self) -> None:
        task = load("position")
        assert value(task.target(sample(objects=[thing([0, 0, 100, 50])]))) == [[0, 0, 0.5, 0.5]]
        assert task.target(sample(objects=[thing([0, 0, 100, 50])] * 2)) is None
        assert task.target(sample(objects=[])) is None

    def test_the_surest_prediction_counts(self) -> None:
        """Tokens of the upper and of the lower half; the second is sure, and padding is not asked."""
        task = load("position")
        grid = Grid(1, 2, 1)
        values = torch.zeros(1, 2, 5)
        values[0, :, 4] = torch.tensor([0.0, 1.0])
        target = [torch.tensor([[0.25, 0.5, 0.75, 1.0]])]
        (found,) = task.scores(tokens(values, grid), target)
        assert found == pytest.approx([1, 0, 0])
        both = Prediction(
            values=values, mask=torch.tensor([[True, False]]), cells=grid_cells(grid)[None], grids=(Grid(1, 1, 1),)
        )
        assert task.scores(both, target)[0] == pytest.approx([0, 0.5, 0])
