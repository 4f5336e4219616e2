"""Targets of inputs that were resized with a border."""

import pytest
import torch

from foresight_cache.samples import Grid
from foresight_probes.features.patches import grid_cells
from tests.support.task_samples import load, sample, slots, thing, value


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
        torch.testing.assert_close(target, torch.tensor([[200.0, 200, 0, 0, 0, 0, 0], [*self.BOX, 3, 5000, 0]]))
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
        assert found.tolist() == [[0] * 4, [0, 1, 1, 0], [0] * 4, [0] * 4]
