"""Pictures and edges that are drawn from features."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foresight_cache.errors import ProbeError, UnknownName, UsageError
from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.features.patches import grid_cells, patchify, unpatchify
from foresight_probes.metrics.edge_metrics import edge_map
from foresight_probes.tasks import TaskContext
from tests.support.task_samples import load, sample, tokens


class TestPictures:
    GRID = Grid(1, 2, 4)

    def picture(self, seed: int = 0) -> np.ndarray:
        generator = np.random.default_rng(seed)
        blocks = generator.integers(0, 256, (1, 4, 8, 3), dtype=np.uint8)
        return blocks.repeat(12, axis=1).repeat(12, axis=2)[:, :48, :96]

    def row(self, seed: int = 0) -> dict[str, Any]:
        return sample() | {"grid_pixel": (1, 48, 96), "pixels": self.picture(seed)}

    def test_a_clip_that_was_cut_is_put_together_again(self) -> None:
        clip = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
        pieces = patchify(torch.from_numpy(clip), Grid(2, 2, 4))
        np.testing.assert_array_equal(unpatchify(pieces, Grid(2, 2, 4), (2, 4, 2, 3)), clip)

    def test_the_true_pixels_have_the_best_of_all_metrics(self, assets: Path) -> None:
        row = self.row()
        task = tasks.load(
            "reconstruction", TaskContext(samples=[row], lpips_net="squeeze", lpips_weights=assets / "models" / "lpips")
        )
        target = task.target(row)
        assert target is not None
        prediction = tokens(patchify(target, self.GRID)[None] / 255, self.GRID)
        assert task.outputs_for(width=3, grid=self.GRID).cell == (1, 24, 24, 3)
        assert task.not_measured == {}
        assert task.loss(prediction, [target]).item() == 0
        assert torch.equal(task.target_values(target, grid_cells(self.GRID)), prediction.values[0])
        best = {"psnr": 100, "ssim": 1, "lpips": 0, "edge_f1": 1, "gram_distance": 0}
        assert task.metrics(task.scores(prediction, [target])) == pytest.approx(best, abs=1e-5)
        other = task.metrics(task.scores(tokens(1 - prediction.values, self.GRID), [target]))
        assert other["psnr"] < 20
        assert other["ssim"] < 0.6
        assert other["lpips"] > 0.05
        assert other["gram_distance"] > 0.05

    def test_the_loss_is_the_mean_squared_error(self) -> None:
        row = self.row()
        task = load("reconstruction", row)
        target = task.target(row)
        assert target is not None
        grey = tokens(torch.full((1, 8, 24 * 24 * 3), 0.5), self.GRID)
        expected = np.square(self.picture() / 255 - 0.5).mean()
        assert task.loss(grey, [target]).item() == pytest.approx(expected, rel=1e-5)
        (quick,), (whole,) = task.selection_scores(grey, [target]), task.scores(grey, [target])
        assert quick[0] == whole[0] == pytest.approx(-10 * math.log10(expected), rel=1e-5)
        assert list(task.metrics([quick])) == ["psnr"]

    def test_a_perceptual_weight_adds_the_perceptual_distance(self, assets: Path) -> None:
        """Against the sum of both terms, and a small step along the gradient; only the squared error can be solved."""
        row, weights = self.row(), assets / "models" / "lpips"
        plain = tasks.load("reconstruction", TaskContext(samples=[row], lpips_weights=weights))
        task = tasks.load("reconstruction", TaskContext(samples=[row], lpips_weights=weights, perceptual_weight=0.5))
        target = task.target(row)
        assert target is not None
        values = 0.1 + 0.8 * torch.rand(1, 8, 24 * 24 * 3, generator=torch.Generator().manual_seed(0)).double()
        values.requires_grad_(True)
        prediction = tokens(values, self.GRID)
        error = plain.loss(prediction, [target])
        distance = plain.metrics(plain.scores(tokens(values.detach().float(), self.GRID), [target]))["lpips"]
        metrics = task.metrics(task.scores(tokens(values.detach().float(), self.GRID), [target]))
        assert metrics["negative_loss"] == pytest.approx(-error.item() - 0.5 * distance, rel=1e-5)
        assert metrics["lpips"] == pytest.approx(distance)
        assert next(iter(metrics)) == task.primary == task.metric_names[0]
        loss = task.loss(tokens(values.float(), self.GRID), [target])
        assert loss.item() == pytest.approx(error.item() + 0.5 * distance, rel=1e-5)
        (gradient,) = torch.autograd.grad(loss, values)
        (of_error,) = torch.autograd.grad(error, values)
        step = 0.01 * (gradient - of_error) / (gradient - of_error).norm()
        moved = task.loss(tokens((values + step).float(), self.GRID), [target]) - loss
        assert moved.item() == pytest.approx((gradient * step).sum().item(), rel=0.2)
        assert (plain.closed_form, task.closed_form) == ("values", None)
        cells = grid_cells(self.GRID)
        assert torch.equal(task.start_values(target, cells), plain.target_values(target, cells))

    def test_a_perceptual_weight_needs_the_network(self, tmp_path: Path) -> None:
        context = TaskContext(samples=[self.row()], lpips_weights=tmp_path, perceptual_weight=2.0)
        with pytest.raises(UsageError, match=r"perceptual_weight is 2, but LPIPS cannot be measured: .* no alexnet\*"):
            tasks.load("reconstruction", context)

    def test_what_cannot_be_measured_says_why(self, tmp_path: Path) -> None:
        row = self.row()
        task = tasks.load("reconstruction", TaskContext(samples=[row], lpips_net="vgg", lpips_weights=tmp_path))
        assert set(task.not_measured) == {"lpips", "gram_distance"}
        assert "has no vgg16*.safetensors" in task.not_measured["lpips"]
        target = task.target(row)
        assert target is not None
        prediction = tokens(torch.zeros(1, 8, 24 * 24 * 3), self.GRID)
        assert set(task.metrics(task.scores(prediction, [target]))) == {"psnr", "ssim", "edge_f1"}
        with pytest.raises(UnknownName, match="unknown LPIPS net 'vgg19'"):
            tasks.load("reconstruction", TaskContext(samples=[row], lpips_net="vgg19", lpips_weights=tmp_path))

    def test_small_pictures_are_measured_as_far_as_they_can_be(self, assets: Path) -> None:
        row = sample() | {"grid_pixel": (1, 8, 8), "pixels": np.zeros((1, 8, 8, 3), np.uint8)}
        task = tasks.load("reconstruction", TaskContext(samples=[row], lpips_weights=assets / "models" / "lpips"))
        assert set(task.not_measured) == {"lpips", "gram_distance", "ssim"}
        assert "at least 32 pixels" in task.not_measured["lpips"]

    def test_points_that_cannot_draw(self) -> None:
        task = load("reconstruction", self.row())
        with pytest.raises(ProbeError, match="1×48×96 pixels into a grid of 1×5×4 tokens do not go evenly"):
            task.outputs_for(width=3, grid=Grid(1, 5, 4))
        large = load("reconstruction", self.row() | {"grid_pixel": (1, 448, 448)})
        with pytest.raises(ProbeError, match="from so few tokens: 1×448×448 pixels into a grid of 1×1×1"):
            large.outputs_for(width=3, grid=Grid(1, 1, 1))

    def test_edges(self) -> None:
        row = self.row()
        task = load("edges", row)
        target = task.target(row)
        assert target is not None
        np.testing.assert_array_equal(target[0, ..., 0], edge_map(self.picture()[0]))
        right = tokens(20.0 * (2 * patchify(target, self.GRID)[None].float() - 1), self.GRID)
        assert task.loss(right, [target]).item() < 1e-6
        assert task.metrics(task.scores(right, [target])) == {"edge_f1": 1.0}
        nothing = tokens(-right.values.abs(), self.GRID)
        assert task.metrics(task.scores(nothing, [target])) == {"edge_f1": 0.0}
        assert task.loss(nothing, [target]).item() == pytest.approx(3 * 20 * target.float().mean().item(), rel=1e-4)
