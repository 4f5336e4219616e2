"""The best constant answer of each task, against scikit-learn, trying all answers, and training a constant."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import dummy

from foresight_cache.samples import Grid
from foresight_probes.batches import Prediction
from foresight_probes.constant_answer import ConstantAnswer, blank
from foresight_probes.metrics.edge_metrics import edge_f1
from foresight_probes.tasks import Task
from foresight_probes.tasks.boxes import decode_boxes
from foresight_probes.tasks.kinds.constant_boxes import covering_boxes, ranked_boxes
from foresight_probes.tasks.kinds.constant_class_map import best_map, miou
from tests.support.task_samples import clip, load, sample, thing

ONE = Grid(1, 1, 1)


def answer(task: Task, targets: Sequence[torch.Tensor], grids: Sequence[Grid] | None = None) -> ConstantAnswer:
    return task.best_constant(iter(zip(targets, grids or [ONE] * len(targets), strict=True)))


def metrics(
    task: Task, constant: ConstantAnswer, targets: Sequence[torch.Tensor], grids: Sequence[Grid] | None = None
) -> dict[str, float]:
    return task.metrics(task.scores(constant.predict(blank(grids or [ONE] * len(targets))), targets))


def targets_of(task: Task, samples: Sequence[dict[str, Any]]) -> list[torch.Tensor]:
    return [target for each in samples if (target := task.target(each)) is not None]


def random_boxes(count: int, most: int, seed: int = 0) -> list[torch.Tensor]:
    """One to `most` boxes of each image, more often at the bottom left than elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    images = []
    for number in range(count):
        low = torch.rand(1 + number % most, 2, generator=generator) ** 2 * 0.6
        images.append(torch.cat([low, low + 0.15 + 0.25 * torch.rand(len(low), 2, generator=generator)], dim=1))
    return images


def trained(task: Task, targets: Sequence[torch.Tensor], epochs: int) -> Prediction:
    """The biases of a head that sees nothing, for all samples."""
    outputs = task.outputs
    shape = (outputs.num_predictions, outputs.channels)
    values = torch.nn.Parameter(4 * torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 2)
    optimiser = torch.optim.AdamW([values], 0.05)
    mask = torch.ones(len(targets), outputs.num_predictions, dtype=torch.bool)
    for _ in range(epochs):
        optimiser.zero_grad()
        task.loss(Prediction(values=values.expand(len(targets), -1, -1), mask=mask), targets).backward()
        optimiser.step()
    return Prediction(values=values.detach().expand(len(targets), -1, -1), mask=mask)


def test_classes_are_answered_with_their_shares() -> None:
    classes = [0, 2, 2, 1, 2, 0]
    samples = [sample(action={"class_id": name}) for name in [*classes, 3]]
    task = load("action", *samples)
    found = answer(task, targets_of(task, samples[:-1]))
    reference = dummy.DummyClassifier(strategy="prior").fit(np.zeros((6, 1)), classes).predict_proba([[0.0]])[0]
    assert found.values[0, :3].exp().numpy() == pytest.approx(reference, rel=1e-6)
    assert found.values[0, 3].isfinite()  # a class that no training sample has is unlikely and not impossible
    assert found.values[0].argmin() == 3


def test_hallucination_is_answered_with_its_share() -> None:
    samples = [sample(qa={"hallucinated": number % 4 == 0}) for number in range(8)]
    task = load("hallucination", *samples)
    targets = targets_of(task, samples)
    found = answer(task, targets)
    assert found.values[0].softmax(0).tolist() == pytest.approx([0.75, 0.25])
    assert metrics(task, found, targets)["auroc"] == 0.5


def test_a_number_is_answered_with_the_mean_of_the_samples_that_are_given() -> None:
    """Not with that of all by which the task scales."""
    samples = [sample(objects=[thing([0, 0, 9, 9])] * count) for count in (1, 2, 6, 40)]
    task = load("counting", *samples)
    targets = targets_of(task, samples[:3])
    reference = dummy.DummyRegressor().fit(np.zeros((3, 1)), [1, 2, 6]).predict([[0.0]])
    scores = task.scores(answer(task, targets).predict(blank([ONE] * 3)), targets)
    assert np.asarray(scores)[:, 0] == pytest.approx(reference.repeat(3))


@pytest.mark.parametrize("seed", range(12))
def test_a_map_of_classes_is_the_best_of_all_maps(seed: int) -> None:
    generator = np.random.default_rng(seed)
    counts_NK = generator.poisson(generator.uniform(0.5, 8, (7, 3)) * [10, 2, 1]).astype(float)
    best = max(miou(np.array(classes), counts_NK) for classes in product(range(3), repeat=7))
    assert miou(best_map(counts_NK), counts_NK) == pytest.approx(best)


def test_patch_classes_are_answered_from_the_place() -> None:
    """A class that is always in one corner is known without a look."""
    samples = [sample(objects=[thing([0, 0, 100, 50], 7), thing([150, 75, 200, 100], 8 + k % 2)]) for k in range(6)]
    task = load("patch-class", *samples)
    grids = [Grid(1, 4, 4)] * 6
    _, targets = task.transform_batch(blank(grids), targets_of(task, samples))
    found = answer(task, targets, grids)
    assert found.places == Grid(1, 4, 4)
    chosen = found.values.argmax(1).view(4, 4)
    assert (chosen[:2, :2] == 1).all()
    assert chosen[3, 3] in (2, 3)
    # background and the corner are right, and one of two classes half of the time
    assert metrics(task, found, targets, grids)["miou"] == pytest.approx((1 + 1 + 0.5 + 0) / 4)


def test_where_grids_differ_the_answer_is_that_of_the_relative_place() -> None:
    samples = [sample(objects=[thing([0, 0, 100, 100], 7)])] * 2
    task = load("patch-class", *samples)
    grids = [Grid(1, 4, 4), Grid(1, 6, 8)]
    features, targets = task.transform_batch(blank(grids), targets_of(task, samples))
    found = answer(task, targets, grids)
    assert task.metrics(task.scores(found.predict(features), targets))["miou"] == 1
    unseen = blank([Grid(1, 2, 2)])
    assert found.predict(unseen).values[0].argmax(1).tolist() == [1, 0, 1, 0]


def test_one_box_is_at_least_as_good_as_any_on_a_grid() -> None:
    truth = random_boxes(80, 1)
    task = load("position")
    found = metrics(task, answer(task, truth), truth)["mean_iou"]
    at = np.linspace(0, 1, 12)
    corners = [box for box in product(at, at, at, at) if box[0] < box[2] and box[1] < box[3]]
    tried = [overlap_with_all(np.array(box), truth) for box in corners]
    assert found >= max(tried)


def overlap_with_all(box: np.ndarray, truth: Sequence[torch.Tensor]) -> float:
    true = torch.cat(list(truth)).double().numpy()
    sides = np.minimum(box[2:], true[:, 2:]) - np.maximum(box[:2], true[:, :2])
    inner = sides.clip(0).prod(1)
    return float(np.mean(inner / ((box[2:] - box[:2]).prod() + (true[:, 2:] - true[:, :2]).prod(1) - inner)))


@pytest.mark.parametrize("name", ["boxes", "naive-boxes"])
@pytest.mark.parametrize("epochs", [8, 60, 400])
def test_a_list_of_boxes_is_better_than_one_that_is_trained(name: str, epochs: int) -> None:
    task, truth = load(name), random_boxes(120, 4)
    computed = metrics(task, answer(task, truth), truth)["mean_iou"]
    assert computed > task.metrics(task.scores(trained(task, truth, epochs), truth))["mean_iou"]


def test_boxes_that_are_always_there_are_found_by_rank() -> None:
    """The one in every image comes first, since an image with one object has no room for another."""
    often, seldom = torch.tensor([0.1, 0.1, 0.4, 0.5]), torch.tensor([0.6, 0.5, 0.9, 0.9])
    truth = [often[None], torch.stack([seldom, often]), often[None]]
    assert ranked_boxes(truth, 10).tolist() == [pytest.approx(often.tolist()), pytest.approx(seldom.tolist())]
    task = load("boxes")
    assert metrics(task, answer(task, truth), truth)["mean_iou"] == pytest.approx(1, abs=1e-4)
    first, second = covering_boxes(truth, 10)
    assert first.tolist() == pytest.approx(often.tolist())
    assert second.tolist() in (pytest.approx(often.tolist()), pytest.approx(seldom.tolist()))


def test_a_rank_is_chosen_for_the_images_that_have_it() -> None:
    """A box of two images with one object each is none for the second rank, which is asked of others."""
    alone, shared = torch.tensor([[0.0, 0.0, 0.2, 0.2]]), torch.tensor([[0.8, 0.0, 1.0, 0.2]])
    apart = [torch.tensor([[x, 0.8, x + 0.2, 1.0]]) for x in (0.0, 0.4, 0.8)]
    truth = [alone, alone, *(torch.cat([shared, other]) for other in apart)]
    first, second = ranked_boxes(truth, 10)
    assert first.tolist() == pytest.approx(shared[0].tolist())
    assert any(second.tolist() == pytest.approx(other[0].tolist()) for other in apart)


def test_no_two_boxes_of_a_list_suppress_each_other() -> None:
    task, truth = load("boxes"), random_boxes(60, 6)
    boxes = decode_boxes(answer(task, truth).predict(blank([ONE])))[0].double().numpy()
    assert len(boxes) == 6
    for number, box in enumerate(boxes):
        for other in boxes[:number]:
            assert overlap_with_all(box, [torch.from_numpy(other[None])]) <= 0.5 + 1e-6


def test_detections_that_are_always_there() -> None:
    """One class stands in every image at one place, another in two of three; a third moves too far to be met twice."""
    moving = [[0, 60, 30, 90], [60, 0, 90, 30], [150, 70, 190, 99]]
    samples = [
        sample(
            objects=[thing([10, 10, 50, 50], 1), thing(moving[number], 3)]
            + ([thing([120, 10, 190, 60], 2)] if number else [])
        )
        for number in range(3)
    ]
    task = load("detection", *samples)
    targets = targets_of(task, samples)
    found = answer(task, targets)
    assert len(found.values) == 5
    scores = found.values[:, 4:].softmax(1)[:, :4].amax(1)
    assert sorted(scores.tolist()) == pytest.approx([1 / 3] * 3 + [2 / 3, 1], abs=1e-4)
    # of the third class the first, fifth and ninth detection are right, since equal scores come in the images' order
    third = (34 * 1 + 33 * 2 / 5 + 34 * 3 / 9) / 101
    assert metrics(task, found, targets)["map_0.5"] == pytest.approx((1 + 2 / 3 + third) / 3)


def test_no_constant_detection_is_one_that_would_be_suppressed() -> None:
    """A box that matches most things, and a last thing that a second one can match without overlapping the first."""
    lefts = [60, 40, 10, 10, 90]
    samples = [sample(objects=[thing([left, 0, left + 100, 100], 1)]) for left in lefts]
    task = load("detection", *samples)
    boxes = decode_boxes(answer(task, targets_of(task, samples)).predict(blank([ONE])))[0]
    assert (200 * boxes[:, 0]).tolist() == pytest.approx([40, 90], abs=1e-3)


def test_detections_of_images_without_objects() -> None:
    samples = [sample(objects=[])] * 2
    task = load("detection", *samples)
    found = answer(task, targets_of(task, samples))
    assert len(found.values) == 0
    assert len(list(task.scores(found.predict(blank([ONE] * 2)), targets_of(task, samples)))) == 2


def test_no_detection_stands_for_a_class_whose_boxes_have_no_area() -> None:
    """Nothing overlaps them, so that nothing can be right."""
    flat, seen = thing([20, 30, 20, 90], 1), thing([10, 10, 110, 60], 2)
    for objects, found in (([flat], 0), ([flat, seen], 1)):
        samples = [sample(objects=objects)] * 3
        task = load("detection", *samples)
        assert len(answer(task, targets_of(task, samples)).values) == found


def pictures(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (1, 16, 16, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize("grid", [Grid(1, 4, 4), Grid(1, 2, 2)])
def test_a_picture_is_answered_with_the_mean_picture(grid: Grid) -> None:
    """The same whatever grid it is drawn on."""
    samples = [{**sample(), "pixels": pixels} for pixels in pictures(5)]
    task = load("reconstruction", *samples)
    targets = targets_of(task, samples)
    found = metrics(task, answer(task, targets, [grid] * 5), targets, [grid] * 5)
    mean = np.mean([pixels / 255 for pixels in pictures(5)], axis=0)
    psnr = [-10 * np.log10(np.mean((pixels / 255 - mean) ** 2)) for pixels in pictures(5)]
    assert found["psnr"] == pytest.approx(np.mean(psnr), rel=1e-5)


def test_edges_are_drawn_where_most_are() -> None:
    """A frame is at the same place in all pictures, a line elsewhere in each; no bound of the frequency does better."""
    truth = np.zeros((9, 1, 16, 16, 1), bool)
    truth[:, 0, 3, 2:14] = truth[:, 0, 12, 2:14] = True
    for number, picture in enumerate(truth):
        picture[0, 5:9, number] = True
    task = load("edges")
    targets, grids = list(torch.from_numpy(truth)), [Grid(1, 4, 4)] * 9
    found = metrics(task, answer(task, targets, grids), targets, grids)["edge_f1"]
    frequency = truth[:, 0, ..., 0].mean(0)
    tried = [np.mean([edge_f1(frequency > bound, own[0, ..., 0]) for own in truth]) for bound in np.unique(frequency)]
    assert found >= max(tried) > 0.85


def test_pictures_without_edges_are_drawn_without() -> None:
    truth = [torch.zeros(1, 8, 8, 1, dtype=torch.bool) for _ in range(9)]
    truth[0][0, 3] = True
    task, grids = load("edges"), [Grid(1, 2, 2)] * 9
    assert metrics(task, answer(task, truth, grids), truth, grids)["edge_f1"] == pytest.approx(8 / 9)


def test_the_next_frame_is_answered_from_the_place() -> None:
    """Features that are a function of the place alone are known without a look; of noise nothing is known."""
    samples = [{**sample(), "grid_patch": (3, 2, 2), "grid_merged": None}] * 40
    task = load("next-frame", *samples)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(40, 12, 5, generator=generator)
    places = torch.randn(12, 5, generator=generator).expand(40, -1, -1) + 0.05 * noise
    for values, low, high in ((places, 0.99, 1.0), (noise, -0.01, 0.1)):
        features, targets = task.transform_batch(clip(values, (Grid(3, 2, 2),) * 40), targets_of(task, samples))
        found = answer(task, targets, features.grids)
        assert low < task.metrics(task.scores(found.predict(features), targets))["r2"] <= high
