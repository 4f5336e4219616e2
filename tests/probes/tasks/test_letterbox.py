"""Targets of inputs that were resized with a border."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.constant_answer import blank
from foresight_probes.features.patches import grid_cells, patchify, unpatchify
from foresight_probes.metrics.edge_metrics import edge_f1, edge_map
from foresight_probes.tasks import TaskContext
from tests.support.task_samples import clip, load, sample, slots, thing, tokens, value


class TestLetterbox:
    """An original of 200×100 pixels in an input of 16×16: it fills rows 4 to 12, with a border above and below."""

    ROW = sample(objects=[thing([50, 25, 150, 75], 3, area=5000.0)]) | {"fit": "letterbox"}
    BOX = (0.25, 0.375, 0.75, 0.625)

    @pytest.mark.parametrize("name", ["boxes", "position", "naive-boxes"])
    def test_boxes(self, name: str) -> None:
        assert value(load(name).target(self.ROW)) == [pytest.approx(self.BOX)]

    def test_detection_keeps_pixels_of_the_original(self) -> None:
        """The input spans 200×200 pixels of the original; the box has 100×50 of them, as it was annotated."""
        task = load("detection", self.ROW)
        target = task.target(self.ROW)
        assert target is not None
        torch.testing.assert_close(target, torch.tensor([[200.0, 200, 0, 0, 0, 0, 0], [*self.BOX, 1, 5000, 0]]))
        (record,) = task.scores(slots([[[0.0] * 9]]), [target])
        true = record.reshape(-1, 8)[1, 2:6]
        assert (true[2:] - true[:2]).tolist() == pytest.approx([100, 50])
        assert record.reshape(-1, 8)[1, 6] == 5000

    def test_patches(self) -> None:
        """Of 4×4 cells the two rows in the middle show the image; the centres of the first lie in the box."""
        task = load("patch-class", self.ROW)
        target = task.target(self.ROW)
        assert target is not None
        found = task.target_class(target, grid_cells(Grid(1, 4, 4))).view(4, 4)
        nothing = [-1] * 4
        assert found.tolist() == [nothing, [0, 1, 1, 0], [0] * 4, nothing]

    def test_patches_of_a_picture_without_objects(self) -> None:
        row = self.ROW | {"annotations": {"objects": []}}
        target = load("patch-class", self.ROW).target(row)
        assert target is not None
        found = load("patch-class", self.ROW).target_class(target, grid_cells(Grid(1, 4, 4))).view(4, 4)
        assert found.tolist() == [[-1] * 4, [0] * 4, [0] * 4, [-1] * 4]


def boxed(height: int, width: int, side: int = 64) -> dict[str, Any]:
    """An original in a square input with a border, whose pixels are noise inside and grey outside."""
    row = sample() | {"height": height, "width": width, "grid_pixel": (2, side, side), "fit": "letterbox"}
    inner = round(min(height, width) / max(height, width) * side)
    start = (side - inner) // 2
    short = slice(start, start + inner)
    inside = (slice(None), short) if width > height else (slice(None), slice(None), short)
    pixels = np.full((2, side, side, 3), 128, np.uint8)
    pixels[inside] = np.random.default_rng(0).integers(0, 256, pixels[inside].shape, dtype=np.uint8)
    return row | {"pixels": pixels, "inside": inside, "grid_patch": (2, 8, 8), "grid_merged": (2, 4, 4)}


@pytest.mark.parametrize("size", [(52, 100), (100, 60), (30, 44)])
class TestPicturesInALetterbox:
    GRID = Grid(2, 8, 8)

    def guess(self) -> torch.Tensor:
        return torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(1))

    def test_metrics_are_those_of_what_is_shown(self, size: tuple[int, int], assets: Path) -> None:
        """Against scikit-image on the part inside, whatever is drawn in the border."""
        row = boxed(*size)
        context = TaskContext(samples=[row], lpips_net="squeeze", lpips_weights=assets / "models" / "lpips")
        task, guess = tasks.load("reconstruction", context), self.guess()
        target = task.target(row)
        assert target is not None
        found = task.metrics(task.scores(tokens(patchify(guess, self.GRID)[None], self.GRID), [target]))
        pairs = list(zip(guess.numpy()[row["inside"]], row["pixels"][row["inside"]] / 255, strict=True))
        assert found["psnr"] == pytest.approx(
            np.mean([peak_signal_noise_ratio(true, own, data_range=1) for own, true in pairs]), rel=1e-5
        )
        assert found["edge_f1"] == pytest.approx(
            np.mean([edge_f1(edge_map((255 * own).astype(np.uint8)), edge_map(true)) for own, true in pairs]), abs=0.05
        )
        changed = guess.clone()
        outside = torch.ones(changed.shape, dtype=torch.bool)
        outside[row["inside"]] = False
        changed[outside] = 0.5
        again = task.metrics(task.scores(tokens(patchify(changed, self.GRID)[None], self.GRID), [target]))
        assert again == found
        assert set(found) == {"psnr", "ssim", "lpips", "edge_f1", "gram_distance"}

    @pytest.mark.parametrize("name", ["reconstruction", "edges"])
    def test_the_border_is_not_trained_on(self, size: tuple[int, int], name: str) -> None:
        row = boxed(*size)
        task = load(name, row)
        target = task.target(row)
        assert target is not None
        guess = self.guess()[..., : task.channels].requires_grad_()  # type: ignore[attr-defined]
        task.loss(tokens(patchify(guess, self.GRID)[None], self.GRID), [target]).backward()  # type: ignore[no-untyped-call]
        assert guess.grad is not None
        pulled = guess.grad != 0
        assert pulled[row["inside"]].all()
        assert pulled.sum() == pulled[row["inside"]].numel()
        answers = task.start_values(target, grid_cells(self.GRID))
        shown = np.zeros((2, 64, 64, task.channels), bool)  # type: ignore[attr-defined]
        shown[row["inside"]] = True
        expected = patchify(torch.from_numpy(shown), self.GRID).any(1)
        assert (~answers.isnan().any(1)).tolist() == expected.tolist()

    def test_edges_of_the_border_are_none(self, size: tuple[int, int]) -> None:
        row = boxed(*size)
        row["pixels"][row["inside"]] = 250  # a bright picture in a grey frame has no edge of its own
        target = load("edges", row).target(row)
        assert target is not None
        assert not target[..., 0].any()

    def test_the_mean_picture_is_that_of_pictures_that_show_a_pixel(self, size: tuple[int, int]) -> None:
        row = boxed(*size)
        task = load("reconstruction", row)
        whole = row | {"fit": "stretch", "pixels": np.full((2, 64, 64, 3), 51, np.uint8)}
        targets = [(task.target(each), self.GRID) for each in (row, whole)]
        drawn = task.best_constant(targets).predict(blank([self.GRID])).values  # type: ignore[arg-type]
        picture = unpatchify(drawn[0], self.GRID, (1, 8, 8, 3)).numpy()
        expected = np.full(picture.shape, 0.2)
        expected[row["inside"]] = (row["pixels"][row["inside"]] / 255 + 0.2) / 2
        np.testing.assert_allclose(picture, expected, atol=1e-6)

    def test_cells_of_the_border_are_no_part_of_the_next_frame(self, size: tuple[int, int]) -> None:
        row = boxed(*size)
        task = load("next-frame", row)
        border = task.target(row)
        assert border is not None
        values = torch.randn(1, 128, 5, generator=torch.Generator().manual_seed(0))
        seen, (target,) = task.transform_batch(clip(values, (self.GRID,)), [border])
        centres = (torch.arange(8) * 8 + 4).numpy()
        shown = np.zeros((2, 64, 64), bool)
        shown[row["inside"]] = True
        expected = torch.from_numpy(shown[0][np.ix_(centres, centres)].flatten())
        assert (~task.target_values(target, seen.cells[0]).isnan().any(1)).tolist() == expected.tolist()
        guess = torch.zeros(1, 64, 5, requires_grad=True)
        task.loss(tokens(guess, Grid(1, 8, 8)), [target]).backward()  # type: ignore[no-untyped-call]
        assert guess.grad is not None
        assert (guess.grad[0] != 0).any(1).tolist() == expected.tolist()
        right = tokens(torch.where(expected[:, None], values[0, 64:], 9.0)[None], Grid(1, 8, 8))
        found = task.metrics(task.scores(right, [target]))
        assert (found["r2"], found["mean_rank"]) == (pytest.approx(1), 0)
