"""Targets, losses and scores of each task, by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from foresight_cache.errors import ProbeError, UnknownName
from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.batches import Features, Prediction
from foresight_probes.features.patches import cells, patchify, unpatchify
from foresight_probes.metrics.edges import edge_map
from foresight_probes.tasks import Task, TaskContext
from foresight_probes.tasks.detection import NOTHING_WEIGHT, QUERIES
from foresight_probes.tasks.patch_class import majority


def sample(**annotations: Any) -> dict[str, Any]:
    """An image of 200×100 pixels."""
    grids = {"grid_pixel": (1, 16, 16), "grid_patch": (1, 4, 4), "grid_merged": (1, 2, 2)}
    return {"id": "some/train/1", "width": 200, "height": 100, "annotations": annotations, **grids}


def thing(box: list[float], name: int = 1, **more: Any) -> dict[str, Any]:
    return {"box": box, "category": f"kind {name}", "category_id": name, "crowd": False, "area": 1.0, **more}


def load(name: str, *samples: dict[str, Any]) -> Task:
    return tasks.load(name, TaskContext(samples=samples, training=samples))


def value(target: torch.Tensor | None) -> Any:
    assert target is not None
    return target.tolist()


def slots(values: list[Any]) -> Prediction:
    """Values [B, P, C] from whole samples."""
    found = torch.tensor(values, dtype=torch.float32)
    return Prediction(values=found, mask=torch.ones(found.shape[:2], dtype=torch.bool))


def tokens(values: torch.Tensor, grid: Grid) -> Prediction:
    """Values [B, N, C] from tokens that lie on a grid."""
    mask = torch.ones(values.shape[:2], dtype=torch.bool)
    places = cells(grid).expand(len(values), -1, -1)
    return Prediction(values=values, mask=mask, cells=places, grids=(grid,) * len(values))


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


class TestChoices:
    def test_classes_are_those_that_occur_sorted(self) -> None:
        rows = [sample(action={"class_id": name}) for name in (40, 3, 7, 3)]
        task = load("action", *rows, sample())
        assert [value(task.target(row)) for row in rows] == [2, 0, 1, 0]
        assert task.outputs_for(width=5, grid=Grid(1, 1, 1)).channels == 3
        assert task.target(sample()) is None

    def test_loss_and_scores(self) -> None:
        rows = [sample(action={"class_id": name}) for name in range(3)]
        task = load("action", *rows)
        targets = [target for row in rows if (target := task.target(row)) is not None]
        prediction = slots([[[2.0, 0, 0]], [[0, 0, 0]], [[0, 3.0, 0]]])
        logs = [2 - math.log(math.e**2 + 2), -math.log(3), -math.log(math.e**3 + 2)]
        assert task.loss(prediction, targets).item() == pytest.approx(-sum(logs) / 3)
        metrics = task.metrics(task.scores(prediction, targets))
        assert metrics["accuracy"] == pytest.approx(1 / 3)
        assert metrics["top_5"] == 1

    def test_direction_is_that_of_all_moving_objects(self) -> None:
        def moving(*ways: str) -> dict[str, Any]:
            return {"motion": {"objects": [{"direction": way, "speed": 1.0} for way in ways]}}

        rows = [sample(**moving("left")), sample(**moving("up", "up")), sample(action={"direction": "down"})]
        task = load("direction", *rows)
        assert task.classes == ("down", "left", "up")  # type: ignore[attr-defined]
        assert [value(task.target(row)) for row in rows] == [1, 2, 0]
        bounces = sample(motion={"objects": [{"direction": None, "speed": 1.0}]})
        for none in (
            sample(**moving("left", "up")),
            bounces,
            sample(action={"direction": None}),
            sample(action={}),
            sample(),
        ):
            assert task.target(none) is None


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
        assert task.target_values(targets[1], None).tolist() == [[1.0]]  # type: ignore[attr-defined]

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
            values=values, mask=torch.tensor([[True, False]]), cells=cells(grid)[None], grids=(Grid(1, 1, 1),)
        )
        assert task.scores(both, target)[0] == pytest.approx([0, 0.5, 0])


class TestNaiveBoxes:
    def test_slots_are_objects_in_the_order_of_annotation(self) -> None:
        task = load("naive-boxes")
        small, large = thing([0, 0, 20, 10]), thing([0, 0, 200, 100])
        assert value(task.target(sample(objects=[small, large]))) == [
            pytest.approx([0, 0, 0.1, 0.1]),
            pytest.approx([0, 0, 1, 1]),
        ]
        assert task.target(sample(objects=[thing([0, 0, 1, 1], crowd=True)])) is None

    def test_the_loss_pulls_unused_slots_to_zero(self) -> None:
        """The value 0 is a half by the sigmoid: 0.5 from each side of the first box, and from the zeros of nine."""
        task = load("naive-boxes")
        assert task.loss(slots([[[0.0] * 4] * 10]), [torch.tensor([[0.0, 0, 1, 1]])]).item() == 0.5
        right = torch.full((1, 10, 4), -30.0)
        right[0, 0, 2:] = 30
        assert task.loss(slots(right.tolist()), [torch.tensor([[0.0, 0, 1, 1]])]).item() == pytest.approx(0)

    def test_a_slot_is_given_the_box_that_it_covers_best(self) -> None:
        """Both slots repeat the second object, and both count, which is what makes its numbers generous."""
        task = load("naive-boxes")
        repeated = torch.full((1, 10, 4), -30.0)
        repeated[0, :2] = torch.tensor([0.5, 0.5, 0.9999999, 0.9999999]).logit()
        truth = torch.tensor([[0.0, 0.0, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0]])
        assert task.scores(slots(repeated.tolist()), [truth])[0] == pytest.approx([1, 1], abs=1e-4)


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
        assert task.target_class(target, cells(Grid(1, 2, 4))).tolist() == [2, 1, -1, -1, 1, 1, -1, -1]  # type: ignore[attr-defined]
        assert task.outputs_for(width=3, grid=Grid(1, 2, 4)).channels == 3

    def test_an_image_without_objects_is_background(self) -> None:
        task = load("patch-class", sample(objects=[thing([0, 0, 1, 1])]))
        target = task.target(sample(objects=[]))
        assert target is not None
        assert task.target_class(target, cells(Grid(1, 1, 2))).tolist() == [0, 0]  # type: ignore[attr-defined]

    def test_the_majority_of_a_cell_by_hand(self) -> None:
        """Two steps of 2×4 pixels in cells of 2×2: 3 of 4, a tie that the lower label wins, half unlabelled, none."""
        labels = torch.tensor([[[1, 1, 2, 0], [1, 0, 2, 0]], [[5, -1, -1, -1], [5, -1, -1, 3]]])
        assert majority(labels, cells(Grid(2, 1, 2)), classes=6).tolist() == [1, 0, 5, -1]

    def test_the_majority_against_a_count_of_every_cell(self) -> None:
        generator = np.random.default_rng(0)
        labels = generator.integers(-1, 4, (1, 12, 20))
        found = majority(torch.from_numpy(labels), cells(Grid(1, 3, 5)), classes=4)
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
        found = task.target_class(target, cells(Grid(1, 64, 80))).view(64, 80).numpy()  # type: ignore[attr-defined]
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
        places[0, :2], places[1] = cells(grids[0]), cells(grids[1])
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


class TestDetection:
    def test_targets(self) -> None:
        row = sample(objects=[thing([20, 10, 60, 50], 5, area=123.0), thing([0, 0, 200, 100], 2, crowd=True)])
        found = load("detection", row).target(row)
        assert found is not None
        torch.testing.assert_close(
            found,
            torch.tensor([[200.0, 100, 0, 0, 0, 0, 0], [0.1, 0.1, 0.3, 0.5, 5, 123, 0], [0.0, 0, 1, 1, 2, 1, 1]]),
        )
        assert load("detection").target(sample()) is None
        assert value(load("detection").target(sample(objects=[]))) == [[200.0, 100, 0, 0, 0, 0, 0]]

    def test_outputs_have_a_logit_per_category_id(self) -> None:
        row = sample(objects=[thing([0, 0, 1, 1], 90)])
        outputs = load("detection", row).outputs_for(width=7, grid=Grid(1, 2, 2))
        assert (outputs.slots, outputs.channels) == (QUERIES, 4 + 91 + 1) == (100, 96)
        with pytest.raises(ProbeError, match="category ids go from 3 to 90000, expected numbers from 0 to 1000"):
            load("detection", sample(objects=[thing([0, 0, 1, 1], 90000), thing([0, 0, 1, 1], 3)]))

    def test_a_perfect_prediction_has_full_precision(self, assets: Path) -> None:
        """On the boxes of real photographs, with crowds and small objects as COCO annotates them."""
        coco = COCO(assets / "data" / "coco" / "annotations" / "instances_val2017.json")
        rows = []
        for image in coco.loadImgs(coco.getImgIds()):
            objects = [
                thing(
                    [
                        each["bbox"][0],
                        each["bbox"][1],
                        each["bbox"][0] + each["bbox"][2],
                        each["bbox"][1] + each["bbox"][3],
                    ],
                    each["category_id"],
                    area=each["area"],
                    crowd=bool(each["iscrowd"]),
                )
                for each in coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
            ]
            rows.append(sample(objects=objects) | {"width": image["width"], "height": image["height"]})
        task = load("detection", *rows)
        channels = task.outputs_for(width=1, grid=Grid(1, 1, 1)).channels
        scores, losses = [], []
        for row in rows:
            target = task.target(row)
            assert target is not None
            values = torch.full((1, QUERIES, channels), -20.0)
            values[..., -1] = 0
            for place, (x0, y0, x1, y1, name, _, crowd) in enumerate(target[1:].double().tolist()):
                if not crowd:
                    box = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dtype=torch.float64)
                    values[0, place, :4] = box.logit()
                    values[0, place, 4 + int(name)] = 20
            prediction = slots(values.tolist())
            scores += task.scores(prediction, [target])
            losses.append(task.loss(prediction, [target]).item())
        found = task.metrics(scores)
        assert found["map_0.5:0.95"] == pytest.approx(1)
        assert max(losses) < 1e-3

    def test_the_loss_by_hand(self) -> None:
        """Two of 100 queries: one covers half of the object and is the cheaper match; all classes are as likely."""
        row = sample(objects=[thing([50, 25, 150, 75], 0)])
        task = load("detection", row)
        target = task.target(row)
        assert target is not None
        values = torch.zeros(1, 2, 4 + 2)
        half = torch.tensor([0.375, 0.5, 0.25, 0.5])
        values[0, 0, :4], values[0, 1, :4] = half.logit(), torch.tensor([0.9, 0.9, 0.1, 0.1]).logit()
        expected = 5 * 0.25 + 2 * 0.5 + math.log(2)
        assert task.loss(slots(values.tolist()), [target]).item() == pytest.approx(expected, rel=1e-5)
        values[0, 1, 5] = 2.0  # the unmatched query comes to know that it is nothing
        unsure = math.log(1 + math.e**-2)
        cross = (math.log(2) + NOTHING_WEIGHT * unsure) / (1 + NOTHING_WEIGHT)
        assert task.loss(slots(values.tolist()), [target]).item() == pytest.approx(5 * 0.25 + 2 * 0.5 + cross, rel=1e-5)

    def test_of_equal_boxes_the_one_with_the_right_class_is_matched(self) -> None:
        row = sample(objects=[thing([50, 25, 150, 75], 0)])
        task = load("detection", row)
        target = task.target(row)
        assert target is not None
        values = torch.zeros(1, 2, 4 + 2)
        values[0, 1, 4] = 2.0
        cross = (math.log(1 + math.e**-2) + NOTHING_WEIGHT * math.log(2)) / (1 + NOTHING_WEIGHT)
        assert task.loss(slots(values.tolist()), [target]).item() == pytest.approx(cross, rel=1e-5)

    def test_nothing_is_trained_towards_a_crowd(self) -> None:
        """But it may be found: a crowd in a class of its own leaves the loss as it was."""
        alone, crowd = thing([50, 25, 150, 75], 0), thing([0, 0, 200, 100], 1, crowd=True)
        row = sample(objects=[alone, crowd])
        task = load("detection", row)
        values = torch.randn(1, 5, 4 + 3, generator=torch.Generator().manual_seed(0))
        without, beside = (task.target(each) for each in (sample(objects=[alone]), row))
        assert without is not None
        assert beside is not None
        assert len(beside) == len(without) + 1
        losses = [task.loss(slots(values.tolist()), [target]).item() for target in (without, beside)]
        assert losses[0] == pytest.approx(losses[1])

    def test_an_image_without_objects(self) -> None:
        row = sample(objects=[thing([0, 0, 1, 1], 0)])
        task = load("detection", row)
        target = task.target(sample(objects=[]))
        assert target is not None
        assert task.loss(slots([[[0.0] * 6] * 3]), [target]).item() == pytest.approx(math.log(2))
        assert len(task.scores(slots([[[0.0] * 6] * 3]), [target])[0]) == 3 * 8


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
        found = task.target_class(target, cells(Grid(1, 4, 4))).view(4, 4)  # type: ignore[attr-defined]
        assert found.tolist() == [[0] * 4, [0, 1, 1, 0], [0] * 4, [0] * 4]


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
        assert torch.equal(task.target_values(target, cells(self.GRID)), prediction.values[0])  # type: ignore[attr-defined]
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


def clip(values: torch.Tensor, grids: tuple[Grid, ...]) -> Features:
    mask = torch.stack([torch.arange(values.shape[1]) < grid.tokens for grid in grids])
    places = torch.zeros(*values.shape[:2], 4)
    for row, grid in enumerate(grids):
        places[row, : grid.tokens] = cells(grid)
    return Features(tokens=values, pooled=values.mean(1), mask=mask, cells=places, grids=grids)


class TestOrder:
    def rows(self, count: int) -> list[dict[str, Any]]:
        return [sample() | {"id": f"some/train/{number}", "grid_patch": (3, 1, 2)} for number in range(count)]

    def test_half_of_the_clips_are_reversed_and_stay_so(self) -> None:
        rows = self.rows(200)
        task = load("order", *rows)
        answers = [task.answer(row) for row in rows]  # type: ignore[attr-defined]
        assert 80 < answers.count("reversed") < 120
        assert answers == [load("order", *rows[::-1]).answer(row) for row in rows]  # type: ignore[attr-defined]

    def test_images_have_no_order(self) -> None:
        assert not load("order").has_target(sample())

    def test_time_steps_are_turned_around_and_their_tokens_are_not(self) -> None:
        """Two clips of three and of two steps of two tokens; the first is reversed, the second stays."""
        task = load("order", *self.rows(20))
        grids = (Grid(3, 1, 2), Grid(2, 1, 2))
        values = torch.arange(12.0).reshape(2, 6, 1)
        answers = [torch.tensor(task.classes.index(name)) for name in ("reversed", "forward")]  # type: ignore[attr-defined]
        found, targets = task.transform_batch(clip(values, grids), answers)
        assert found.tokens[..., 0].tolist() == [[4, 5, 2, 3, 0, 1], [6, 7, 8, 9, 10, 11]]
        assert values[0, 0, 0] == 0
        assert list(targets) == answers
        turned, _ = task.transform_batch(clip(values, grids), answers[::-1])
        assert turned.tokens[..., 0].tolist() == [[0, 1, 2, 3, 4, 5], [8, 9, 6, 7, 10, 11]]


class TestNextFrame:
    def row(self, steps: int) -> dict[str, Any]:
        return sample() | {"grid_patch": (steps, 1, 2), "grid_merged": (steps, 1, 1)}

    def test_the_last_step_is_the_target_and_is_not_seen(self) -> None:
        task = load("next-frame", self.row(3))
        values = torch.arange(12.0).reshape(1, 6, 2)
        seen, (target,) = task.transform_batch(clip(values, (Grid(3, 1, 2),)), [torch.empty(0)])
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
