"""Detection: targets, outputs, loss and the precision of perfect predictions."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools.coco import COCO

from foresight_cache.samples import Grid
from foresight_probes.batches import Prediction
from foresight_probes.features.patches import grid_cells
from foresight_probes.tasks.detection import NOTHING_WEIGHT, QUERIES
from tests.support.task_samples import load, sample, slots, thing, tokens, value


def classed(values: torch.Tensor) -> torch.Tensor:
    """Boxes and logits with that of class 0, which no category has and no head means, among them."""
    nothing = torch.full_like(values[..., :1], -30.0)
    return torch.cat([values[..., :4], nothing, values[..., 4:]], dim=-1)


class TestDetection:
    def test_targets(self) -> None:
        row = sample(objects=[thing([20, 10, 60, 50], 5, area=123.0), thing([0, 0, 200, 100], 2, crowd=True)])
        found = load("detection", row).target(row)
        assert found is not None
        torch.testing.assert_close(
            found,
            torch.tensor([[200.0, 100, 0, 0, 0, 0, 0], [0.1, 0.1, 0.3, 0.5, 2, 123, 0], [0.0, 0, 1, 1, 1, 1, 1]]),
        )
        assert load("detection").target(sample()) is None
        assert value(load("detection").target(sample(objects=[]))) == [[200.0, 100, 0, 0, 0, 0, 0]]

    @pytest.mark.parametrize("ids", [(90,), (3, 90000), tuple(range(1, 1204)), (-7, 2**40)])
    def test_categories_of_any_ids_are_classes_as_in_patch_class(self, ids: tuple[int, ...]) -> None:
        """COCO's ids have gaps, LVIS has 1,203, and those of other sets are too large for a float32 to tell apart."""
        row = sample(objects=[thing([0, 0, 200, 100], name) for name in reversed(ids)])
        task, patches = load("detection", row), load("patch-class", row)
        outputs = task.outputs_for(width=7, grid=Grid(1, 2, 2))
        assert (outputs.num_predictions, outputs.channels) == (QUERIES, 4 + len(ids) + 2)
        boxes, classes = task.target(row), patches.target(row)
        assert boxes is not None
        assert classes is not None
        assert boxes[1:, 4].tolist() == classes[:, 4].tolist() == list(range(len(ids), 0, -1))

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
        assert task.loss(slots(classed(values).tolist()), [target]).item() == pytest.approx(expected, rel=1e-5)
        values[0, 1, 5] = 2.0  # the unmatched query comes to know that it is nothing
        unsure = math.log(1 + math.e**-2)
        cross = (math.log(2) + NOTHING_WEIGHT * unsure) / (1 + NOTHING_WEIGHT)
        assert task.loss(slots(classed(values).tolist()), [target]).item() == pytest.approx(
            5 * 0.25 + 2 * 0.5 + cross, rel=1e-5
        )

    def test_of_equal_boxes_the_one_with_the_right_class_is_matched(self) -> None:
        row = sample(objects=[thing([50, 25, 150, 75], 0)])
        task = load("detection", row)
        target = task.target(row)
        assert target is not None
        values = torch.zeros(1, 2, 4 + 2)
        values[0, 1, 4] = 2.0
        cross = (math.log(1 + math.e**-2) + NOTHING_WEIGHT * math.log(2)) / (1 + NOTHING_WEIGHT)
        assert task.loss(slots(classed(values).tolist()), [target]).item() == pytest.approx(cross, rel=1e-5)

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
        losses = [task.loss(slots(classed(values).tolist()), [target]).item() for target in (without, beside)]
        assert losses[0] == pytest.approx(losses[1])

    def test_an_image_without_objects(self) -> None:
        row = sample(objects=[thing([0, 0, 1, 1], 0)])
        task = load("detection", row)
        target = task.target(sample(objects=[]))
        assert target is not None
        assert task.loss(slots(classed(torch.zeros(1, 3, 6)).tolist()), [target]).item() == pytest.approx(math.log(2))
        assert (
            len(task.scores(slots(classed(torch.tensor([[[0.0] * 6, [3.0, 0, 0, 0, 0, 0]]])).tolist()), [target])[0])
            == 2 * 8
        )

    @pytest.mark.parametrize("kind", ["tokens", "queries"])
    @pytest.mark.parametrize("objects", [[], [thing([0, 0, 200, 50], 0, crowd=True)]], ids=["empty", "crowds"])
    def test_a_batch_in_which_no_image_has_an_object(self, objects: list[dict[str, Any]], kind: str) -> None:
        """All predictions are trained towards "no object", and no box is trained towards anything."""
        task = load("detection", sample(objects=[thing([0, 0, 1, 1], 0)]))
        targets = [target for _ in range(2) if (target := task.target(sample(objects=objects))) is not None]
        assert len(targets) == 2
        values = torch.randn(2, 4, 4 + 2, generator=torch.Generator().manual_seed(0))
        values[1, :, 4:] = 0
        predicted = classed(values).requires_grad_()
        whole = Prediction(values=predicted, mask=torch.ones(2, 4, dtype=torch.bool))
        prediction = tokens(predicted, Grid(1, 2, 2)) if kind == "tokens" else whole
        loss = task.loss(prediction, targets)
        other, none = values[0, :, 4].exp(), values[0, :, 5].exp()
        wanted = (-(none / (none + other)).log().sum() + 4 * math.log(2)) / 8
        assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
        loss.backward()  # type: ignore[no-untyped-call]
        assert predicted.grad is not None
        assert predicted.grad.isfinite().all()
        assert not predicted.grad[..., :4].any()
        starts = task.start_values(targets[0], grid_cells(Grid(1, 2, 2)))
        assert starts[:, :4].isnan().all()
        assert starts[:, 4:].argmax(1).tolist() == [2] * 4

    def test_tokens_by_hand(self) -> None:
        """Two of four tokens lie in an object; one draws it, the other half of it, and all classes are as likely."""
        row = sample(objects=[thing([0, 0, 200, 50], 0)])
        task = load("detection", row)
        target = task.target(row)
        assert target is not None
        grid = Grid(1, 2, 2)
        values = torch.zeros(1, 4, 4 + 2)
        values[0, 0, :4] = torch.tensor([2.5, 0, 30, 0])  # from (0.25, 0.25): x0 0, x1 1, y0 0, y1 0.5
        values[0, 1, :4] = torch.tensor([0, 0, 0, 0])  # from (0.75, 0.25): the right half
        fit = (0 + 5 * 0.5 + 2 * 0.5) / 2
        assert task.loss(tokens(classed(values), grid), [target]).item() == pytest.approx(fit + math.log(2), rel=1e-5)
        # The first comes to be sure of its class, which is right; for the second, an IoU of a half, it is as wrong as
        # right, like a token that is sure that it shows nothing, while it does not.
        values[0, 0, 4] = values[0, 1, 4] = 2.0
        sure, unsure = math.log(1 + math.e**-2), math.log(1 + math.e**2)
        cross = (sure + (sure + unsure) / 2 + 2 * NOTHING_WEIGHT * math.log(2)) / (2 + 2 * NOTHING_WEIGHT)
        assert task.loss(tokens(classed(values), grid), [target]).item() == pytest.approx(fit + cross, rel=1e-5)

    def test_objects_weigh_the_same_whatever_their_size(self) -> None:
        """All miss by as much: the box of a large object, seen by many, has no more pull than that of a small one."""
        row = sample(objects=[thing([0, 0, 150, 75], 0), thing([180, 90, 200, 100], 0)])
        task = load("detection", row)
        target = task.target(row)
        assert target is not None
        values = torch.zeros(1, 64, 4 + 2, requires_grad=True)
        task.loss(tokens(classed(values), Grid(1, 8, 8)), [target]).backward()  # type: ignore[no-untyped-call]
        assert values.grad is not None
        pull = values.grad[0, :, 2:4].abs().sum(-1).reshape(8, 8)
        assert pull[:6, :6].sum() / pull[7, 7] < 3
        assert pull[7, 7] > 10 * pull[:6, :6].mean()

    def test_padding_costs_nothing_and_is_never_detected(self) -> None:
        row = sample(objects=[thing([0, 0, 100, 50], 0)])
        task = load("detection", row)
        target = task.target(row)
        assert target is not None
        whole = tokens(classed(torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(0))), Grid(1, 2, 2))
        padded = replace(whole, mask=torch.tensor([[True, True, False, False]]), grids=(Grid(1, 1, 2),))
        assert whole.cells is not None
        short = replace(padded, values=whole.values[:, :2], mask=padded.mask[:, :2], cells=whole.cells[:, :2])
        assert task.loss(padded, [target]).item() == pytest.approx(task.loss(short, [target]).item())
        assert task.scores(padded, [target])[0].tolist() == task.scores(short, [target])[0].tolist()

    def test_of_overlapping_boxes_of_a_class_the_surest_is_kept(self) -> None:
        """Four equal boxes: a sure and an unsure one of each of two classes; the sure ones are detected."""
        row = sample(objects=[thing([50, 25, 150, 75], 0), thing([50, 25, 150, 75], 1)])
        task = load("detection", row)
        target = task.target(row)
        assert target is not None
        logits = [[3.0, 0, 0], [0, 2.0, 0], [0, 4.0, 0], [1.0, 0, 0]]
        found = task.scores(slots(classed(torch.tensor([[[0.0] * 4 + row for row in logits]])).tolist()), [target])[
            0
        ].reshape(-1, 8)
        assert found[found[:, 0] == 0][:, 1].tolist() == [2, 1]
        assert task.metrics([found.reshape(-1)])["map_0.5"] == pytest.approx(1)

    def test_a_hundred_boxes_are_kept_at_most(self) -> None:
        row = sample(objects=[thing([0, 0, 10, 10], 0)])
        task = load("detection", row)
        target = task.target(row)
        assert target is not None
        values = torch.zeros(1, 256, 6)
        values[..., 2:4] = -4.0  # smaller than a cell, so that no two overlap
        values[0, 200:, 4] = 1.0
        detected = task.scores(tokens(classed(values), Grid(1, 16, 16)), [target])[0].reshape(-1, 8)[:-1]
        assert len(detected) == 100
        assert (detected[:, 6] > 0.6).sum() == 56

    def test_heads_of_tokens_start_from_the_box_and_the_class_of_each_cell(self) -> None:
        """A quarter of the image shows a thing, another a crowd, which is nothing, like the rest."""
        row = sample(objects=[thing([0, 0, 100, 50], 1), thing([100, 50, 200, 100], 2, crowd=True)])
        task = load("detection", row)
        target = task.target(row)
        assert target is not None
        grid = Grid(1, 2, 2)
        values = task.start_values(target, grid_cells(grid))
        boxes, logits = task.start_groups(values.shape[1])
        assert logits == [4, 5, 6, 7]
        assert values[:, boxes].isnan().all(1).tolist() == [False, True, True, True]
        assert values[:, logits].argmax(1).tolist() == [1, 3, 3, 3]
        detected = task.scores(tokens(values[None].nan_to_num(), grid), [target])[0].reshape(-1, 8)[:4]
        best = detected[detected[:, 6].argmax()]
        assert best[1:6].tolist() == pytest.approx([1, 0, 0, 100, 50], abs=1e-4)
