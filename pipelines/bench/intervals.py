"""What intervals of mean average precision cost, beside pycocotools' own work once for each resample."""

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from foresight_probes.metrics.coco_average_precision import summary
from foresight_probes.metrics.coco_matching import MOST, image_scores, match_image
from foresight_probes.statistics.bootstrap import bootstrap
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure

TAKES_GIVEN = False
CLASSES, WIDTH = 80, 640.0
OBJECTS = 7.3
"""Objects of an image on average, as in COCO."""
DETECTIONS = 100
"""Detections of each image, as many as COCO counts."""
ACCUMULATED = 2
"""Times that pycocotools sums up, for the time of one."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Objects and detections of one image: boxes of two corners in pixels, and classes from 1."""

    true_boxes: np.ndarray
    true_classes: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def packed(self) -> np.ndarray:
        """Returns the scores of the image, as the task of detection has them."""
        return image_scores(
            boxes=self.boxes,
            classes=self.classes,
            scores=self.scores,
            true_boxes=self.true_boxes,
            true_classes=self.true_classes,
            areas=(self.true_boxes[:, 2:] - self.true_boxes[:, :2]).prod(1),
            crowds=np.zeros(len(self.true_boxes), bool),
        )


def run(folder: Path, *, quick: bool, given: Given) -> list[Figure]:  # noqa: ARG001 - takes nothing
    """Draws 5,000 images with 500,000 detections (500 with 50,000 if quick), and resamples them 1,000 times (100)."""
    images, resamples = (500, 100) if quick else (5000, 1000)
    pictures = list(draw(images))
    packed = [picture.packed() for picture in pictures]
    matching = _seconds(lambda: [match_image(image) for image in packed])
    groups = [str(number) for number in range(images)]
    resampling = _seconds(lambda: bootstrap(packed, groups, summary, resamples=resamples))
    theirs = whole(pictures)
    evaluating = _seconds(theirs.evaluate)
    accumulating = _seconds(lambda: [theirs.accumulate() for _ in range(ACCUMULATED)]) / ACCUMULATED * resamples
    name = f"of {images:,} images with {images * DETECTIONS:,} detections"
    return [
        Figure(
            name=f"{resamples:,} resamples of mAP {name}, once matched, to pycocotools' accumulate once for each",
            value=resampling / accumulating,
            target="<= 0.1",
            detail=f"{resampling:.1f} s to {accumulating:.0f} s ({ACCUMULATED} measured)",
        ),
        Figure(
            name=f"matching {name} image by image to pycocotools' evaluate of all",
            value=matching / evaluating,
            target="<= 2",
            detail=f"{matching:.1f} s to {evaluating:.1f} s",
        ),
    ]


def draw(images: int) -> Iterator[Picture]:
    """Yields images whose objects are mostly of a few classes, most of them found, among many boxes of nothing."""
    generator = np.random.default_rng(0)
    shares = 1 / np.arange(1, CLASSES + 1) ** 0.8
    for _ in range(images):
        count = int(generator.geometric(1 / OBJECTS))
        usual = generator.choice(CLASSES, size=3, p=shares / shares.sum()) + 1
        boxes = _boxes(generator, count)
        classes = _classes(generator, usual, count)
        seen = np.flatnonzero(generator.random(count) < 0.8)[:DETECTIONS]
        sides = np.tile(boxes[seen, 2:] - boxes[seen, :2], 2)
        near = boxes[seen] + 0.08 * sides * generator.normal(size=(len(seen), 4))
        nothing = DETECTIONS - len(seen)
        yield Picture(
            true_boxes=boxes,
            true_classes=classes,
            boxes=np.concatenate([near, _boxes(generator, nothing)]),
            classes=np.concatenate([classes[seen], _classes(generator, usual, nothing)]),
            scores=np.concatenate([generator.beta(4, 2, len(seen)), generator.beta(1, 8, nothing)]),
        )


def _boxes(generator: np.random.Generator, count: int) -> np.ndarray:
    """Sides of 10 to 300 pixels, as many small ones as large ones."""
    sides = np.exp(generator.uniform(np.log(10), np.log(300), (count, 2)))
    corners = generator.random((count, 2)) * (WIDTH - sides)
    return np.concatenate([corners, corners + sides], axis=1)


def _classes(generator: np.random.Generator, usual: np.ndarray, count: int) -> np.ndarray:
    """Half of them usual in this image."""
    return np.where(
        generator.random(count) < 0.5, generator.choice(usual, size=count), generator.integers(1, CLASSES + 1, count)
    )


def whole(pictures: Sequence[Picture]) -> COCOeval:
    """Returns pycocotools' evaluation of all images at once."""
    sides = []
    for detected in (False, True):
        annotations: list[dict[str, object]] = []
        for number, picture in enumerate(pictures, start=1):
            boxes, classes = (
                (picture.boxes, picture.classes) if detected else (picture.true_boxes, picture.true_classes)
            )
            scores = picture.scores if detected else np.ones(len(boxes))
            for (x0, y0, x1, y1), name, score in zip(boxes.tolist(), classes.tolist(), scores.tolist(), strict=True):
                box = [x0, y0, x1 - x0, y1 - y0]
                own = {"id": len(annotations) + 1, "image_id": number, "category_id": name, "bbox": box}
                annotations.append({**own, "iscrowd": 0, "area": box[2] * box[3], "score": score})
        side = COCO()
        side.dataset = {
            "images": [{"id": number} for number in range(1, len(pictures) + 1)],
            "categories": [{"id": name} for name in range(1, CLASSES + 1)],
            "annotations": annotations,
        }
        with contextlib.redirect_stdout(io.StringIO()):
            side.createIndex()
        sides.append(side)
    evaluation = COCOeval(*sides, iouType="bbox")
    evaluation.params.maxDets = [MOST]
    return evaluation


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints every step
        work()
    return time.perf_counter() - started
