"""Average precision against pycocotools' own evaluation of the whole data set."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from foresight_probes.metrics.coco_average_precision import map_50, summary
from foresight_probes.metrics.coco_matching import MOST, image_scores, match_image
from foresight_probes.metrics.resamples import point_estimate

NAMES = ("map_0.5:0.95", "map_0.5", "map_0.75", "map_small", "map_medium", "map_large")
"""In the order of the first six of COCO's statistics."""


def scene(seed: int, classes: int = 4, detections: int = 30) -> dict[str, np.ndarray]:
    """Objects of all sizes, some of them crowds; detections near some of them, with ties between scores."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(0, 7))
    low = generator.uniform(0, 300, (count, 2))
    true = np.concatenate([low, low + generator.choice([12, 50, 150], (count, 1)) * generator.uniform(0.7, 1.3)], 1)
    near = true[generator.integers(0, count, detections)] if count else np.tile([0.0, 0.0, 40.0, 40.0], (detections, 1))
    boxes = near + generator.normal(0, 4, (detections, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    return {
        "boxes": boxes,
        "classes": generator.integers(1, classes + 1, detections),
        "scores": generator.uniform(0, 1, detections).round(1),
        "true_boxes": true,
        "true_classes": generator.integers(1, classes + 1, count),
        "areas": (true[:, 2:] - true[:, :2]).prod(1) * generator.uniform(0.5, 1, count),
        "crowds": generator.random(count) < 0.2,
    }


def coco(scenes: list[dict[str, np.ndarray]], kind: str) -> COCO:
    annotations: list[dict[str, object]] = []
    for image, each in enumerate(scenes, start=1):
        boxes, names = (
            each[{"gt": "true_boxes", "dt": "boxes"}[kind]],
            each[{"gt": "true_classes", "dt": "classes"}[kind]],
        )
        for place, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
            box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "image_id": image, "category_id": int(names[place])}
            more = {"area": each["areas"][place], "iscrowd": int(each["crowds"][place])} if kind == "gt" else {}
            more |= {"score": each["scores"][place], "area": (x1 - x0) * (y1 - y0)} if kind == "dt" else {}
            annotations.append({"id": len(annotations) + 1, **box, **more})
    found = COCO()
    found.dataset = {
        "images": [{"id": image} for image in range(1, len(scenes) + 1)],
        "categories": [{"id": name} for name in range(1, 10)],
        "annotations": annotations,
    }
    found.createIndex()
    return found


def reference(scenes: list[dict[str, np.ndarray]]) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco(scenes, "gt"), coco(scenes, "dt"), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: value for name, value in zip(NAMES, evaluation.stats[:6].tolist(), strict=True) if value > -1}


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_pycocotools(seed: int) -> None:
    scenes = [scene(100 * seed + place) for place in range(25)]
    packed = [image_scores(**each) for each in scenes]
    found, expected = point_estimate(summary, packed), reference(scenes)
    assert found == pytest.approx(expected, abs=1e-12)
    assert map_50(packed) == pytest.approx(expected["map_0.5"], abs=1e-12)
    assert 0.02 < found["map_0.5:0.95"] < found["map_0.5"] < 1


def test_resamples_equal_a_data_set_with_the_same_images() -> None:
    """An image that is drawn twice counts twice, and what was matched once is not matched again."""
    scenes = [scene(place) for place in (3, 4, 4, 4, 9)]
    assert point_estimate(summary, [image_scores(**each) for each in scenes]) == pytest.approx(
        reference(scenes), abs=1e-12
    )
    first = match_image(image_scores(**scenes[0]))
    assert match_image(image_scores(**scenes[0])) is first


def test_sizes_that_no_object_has_are_left_out() -> None:
    large = {**scene(0), "true_boxes": np.array([[0.0, 0, 200, 200]]), "true_classes": np.array([1])}
    large |= {"areas": np.array([40000.0]), "crowds": np.array([False]), "boxes": np.array([[0.0, 0, 200, 200]])}
    large |= {"classes": np.array([1]), "scores": np.array([0.5])}
    assert point_estimate(summary, [image_scores(**large)]) == pytest.approx(
        {"map_0.5": 1.0, "map_0.75": 1.0, "map_0.5:0.95": 1.0, "map_large": 1.0}
    )


def test_only_the_best_hundred_detections_of_a_class_count() -> None:
    each = scene(5, classes=1, detections=3 * MOST)
    best = np.argsort(-each["scores"], kind="stable")[:MOST]
    kept = {**each, **{name: each[name][best] for name in ("boxes", "classes", "scores")}}
    assert point_estimate(summary, [image_scores(**each)]) == pytest.approx(reference([each]), abs=1e-12)
    assert point_estimate(summary, [image_scores(**each)]) == point_estimate(summary, [image_scores(**kept)])


def test_images_without_anything() -> None:
    empty = scene(0, detections=0) | {"true_boxes": np.zeros((0, 4)), "true_classes": np.zeros(0)}
    empty |= {"areas": np.zeros(0), "crowds": np.zeros(0, bool)}
    others = [scene(1), scene(2)]
    assert point_estimate(summary, [image_scores(**each) for each in [empty, *others]]) == point_estimate(
        summary, [image_scores(**each) for each in others]
    )
    assert point_estimate(summary, [image_scores(**empty)]) == {}
