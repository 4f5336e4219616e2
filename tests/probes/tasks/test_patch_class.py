"""The class of each token, by hand and against a count of pixels."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from foresight_cache.errors import ProbeError
from foresight_cache.samples import Grid
from foresight_probes.batches import Features
from foresight_probes.features.patches import grid_cells, patchify
from foresight_probes.tasks.patch_class import majority
from tests.support.task_samples import load, sample, thing, tokens


class TestPatchClass:
    def test_boxes_give_classes_to_the_cells_whose_centre_they_hold(self) -> None:
        """Category 9 is class 2; the smaller box wins; a crowd is no answer, but not where a box is."""
        row = sample(
            objects=[
                thing([0, 0, 100, 100], 4),
                thing([0, 0, 50, 50], 9),
                thing([0, 0, 200, 100], 4, crowd=True),
            ]
        )
        task = load("patch-class", row)
        target = task.target(row)
        assert target is not None
        assert task.target_class(target, grid_cells(Grid(1, 2, 4))).tolist() == [2, 1, -1, -1, 1, 1, -1, -1]
        assert task.outputs_for(width=3, grid=Grid(1, 2, 4)).channels == 3

    def test_an_image_without_objects_is_background(self) -> None:
        task = load("patch-class", sample(objects=[thing([0, 0, 1, 1])]))
        target = task.target(sample(objects=[]))
        assert target is not None
        assert task.target_class(target, grid_cells(Grid(1, 1, 2))).tolist() == [0, 0]

    def test_the_majority_of_a_cell_by_hand(self) -> None:
        """Two steps of 2×4 pixels in cells of 2×2: 3 of 4, a tie that the lower label wins, half unlabelled, none."""
        labels = torch.tensor([[[1, 1, 2, 0], [1, 0, 2, 0]], [[5, -1, -1, -1], [5, -1, -1, 3]]])
        assert majority(labels, grid_cells(Grid(2, 1, 2)), classes=6).tolist() == [1, 0, 5, -1]

    def test_the_majority_against_a_count_of_every_cell(self) -> None:
        generator = np.random.default_rng(0)
        labels = generator.integers(-1, 4, (1, 12, 20))
        found = majority(torch.from_numpy(labels), grid_cells(Grid(1, 3, 5)), classes=4)
        for number, pixels in enumerate(patchify(torch.from_numpy(labels[..., None]), Grid(1, 3, 5)).numpy()):
            counts = [(pixels == name).sum() for name in range(4)]
            expected = int(np.argmax(counts)) if 2 * sum(counts) >= len(pixels) else -1
            assert found[number] == expected

    def test_real_masks(self, assets: Path) -> None:
        """A photograph's mask at 150 classes on a grid of one token per pixel is the mask itself."""
        from PIL import Image

        folder = assets / "data" / "ADEChallengeData2016" / "annotations" / "validation"
        mask = np.asarray(Image.open(folder / "ADE_val_00000001.png"))[:64, :80]
        row = sample(labels={"classes": {"count": 150}, "ignore": 0}) | {"labels": mask[None]}
        task = load("patch-class", row)
        target = task.target(row)
        assert target is not None
        assert task.needs_arrays == ("labels",)
        assert task.outputs_for(width=3, grid=Grid(1, 1, 1)).channels == 151
        found = task.target_class(target, grid_cells(Grid(1, 64, 80))).view(64, 80).numpy()
        np.testing.assert_array_equal(found, np.where(mask == 0, -1, mask.astype(int)))

    def test_labels_beyond_the_classes(self) -> None:
        row = sample(labels={"classes": ["sky", "sea"], "ignore": None}) | {"labels": np.full((1, 2, 2), 2, np.uint8)}
        with pytest.raises(
            ProbeError, match="has the dense label 2, but its annotations tell of labels below 2; prepare"
        ):
            load("patch-class", row).target(row)

    def test_two_kinds_of_labels(self) -> None:
        rows = [sample(labels={"classes": {"count": count}, "ignore": 0}) for count in (150, 27)]
        with pytest.raises(ProbeError, match=r"dense labels of 28 or 151 classes, expected the same classes for all"):
            load("patch-class", *rows)

    def test_tokens_without_an_answer_cost_nothing(self) -> None:
        task = load("patch-class", sample(objects=[thing([0, 0, 1, 1])]))
        values = torch.tensor([[[0.0, 0.0], [9.0, -9.0]], [[0.0, 0.0], [0.0, 0.0]]])
        answers = [torch.tensor([1, -1]), torch.tensor([0, 0])]
        prediction = tokens(values, Grid(1, 1, 2))
        assert task.loss(prediction, answers).item() == pytest.approx(math.log(2))
        assert task.loss(prediction, [torch.tensor([-1, -1]), answers[1]]).item() == pytest.approx(math.log(2) / 2)
        assert task.metrics(task.scores(prediction, answers))["accuracy"] == pytest.approx(2 / 3)

    def test_prepare_answers_for_the_grid_of_each_sample(self) -> None:
        row = sample(objects=[thing([0, 0, 100, 100], 4)])
        task = load("patch-class", row)
        target = task.target(row)
        assert target is not None
        grids = (Grid(1, 1, 2), Grid(1, 1, 4))
        places = torch.zeros(2, 4, 4)
        places[0, :2], places[1] = grid_cells(grids[0]), grid_cells(grids[1])
        batch = Features(
            tokens=torch.zeros(2, 4, 3),
            pooled=torch.zeros(2, 3),
            mask=torch.tensor([[True, True, False, False], [True] * 4]),
            cells=places,
            grids=grids,
        )
        same, answers = task.transform_batch(batch, [target, target])
        assert same is batch
        assert [answer.tolist() for answer in answers] == [[1, 0], [1, 1, 0, 0]]
