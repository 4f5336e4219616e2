"""The features of the last time step of a clip."""

from typing import Any

import torch

from foresight_cache.samples import Grid
from tests.support.task_samples import clip, load, sample, tokens


class TestNextFrame:
    def row(self, steps: int) -> dict[str, Any]:
        return sample() | {"grid_patch": (steps, 1, 2), "grid_merged": (steps, 1, 1)}

    def test_the_last_step_is_the_target_and_is_not_seen(self) -> None:
        task = load("next-frame", self.row(3))
        values = torch.arange(12.0).reshape(1, 6, 2)
        seen, (target,) = task.transform_batch(clip(values, (Grid(3, 1, 2),)), [torch.empty(0, 4)])
        assert target.tolist() == [[[8, 9], [10, 11]], [[4, 5], [6, 7]]]
        assert seen.tokens.flatten().tolist() == list(range(8))
        assert seen.grids == (Grid(2, 1, 2),)
        assert seen.mask.all()
        assert seen.mask.shape == seen.cells.shape[:2] == (1, 4)
        assert seen.pooled.tolist() == [[3, 4]]
        assert task.outputs_for(width=2, grid=Grid(3, 1, 2)).grid == Grid(2, 1, 2)

    def test_only_clips_with_all_steps_are_asked(self) -> None:
        task = load("next-frame", self.row(3), self.row(2))
        assert task.has_target(self.row(3))
        assert not task.has_target(self.row(2))
        assert not load("next-frame", sample()).has_target(sample())

    def test_scores(self) -> None:
        """The prediction is right; the copy of the step before is opposite."""
        task = load("next-frame", self.row(2))
        true = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        prediction = tokens(true[None], Grid(1, 1, 2))
        found = task.metrics(task.scores(prediction, [torch.stack([true, -true])]))
        assert found == {"cosine": 1, "r2": 1, "copy_cosine": -1, "copy_r2": -3, "mean_rank": 0}
        assert task.loss(prediction, [torch.stack([true, -true])]).item() == 0
        turned = tokens(true.flip(0)[None], Grid(1, 1, 2))
        assert task.metrics(task.scores(turned, [torch.stack([true, true])]))["mean_rank"] == 1
