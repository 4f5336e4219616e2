"""The boxes that are read best from noisy facts: linear least squares of their code, fitted to the training samples."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit, logit, softmax

from foresight_probes.calibration.facts import CLASS_GAIN, NOISE, cell_centres, token_owners
from foresight_probes.calibration.scenes import SIZE, Scene
from foresight_probes.calibration.told import Told, least_squares, with_constant
from foresight_probes.metrics.box_metrics import object_scores
from foresight_probes.metrics.coco_average_precision import summary
from foresight_probes.metrics.coco_matching import image_scores


class Seen(NamedTuple):
    """The token of each object of each sample that lies nearest to the middle of its box."""

    samples: np.ndarray
    """Number of the object's sample."""
    objects: np.ndarray
    """Number of the object in its sample."""
    tokens: np.ndarray


def boxes_from_tokens(train: Told, test: Told) -> float:
    """Returns the mean IoU of the boxes that the middle tokens of the objects tell."""
    return mean_iou(test.scenes, seen_boxes(train, test))


def boxes_from_lists(train: Told, test: Told) -> float:
    """Returns the mean IoU of the boxes that a list tells, one place in it for each object."""

    def rows(told: Told) -> tuple[np.ndarray, np.ndarray]:
        listed = told.noisy("list")[:, 0].reshape(len(told.drawn), -1, 9)
        every = [listed[number, : len(scene.boxes)] for number, scene in enumerate(told.scenes)]
        return np.concatenate(every), np.concatenate([scene.boxes for scene in told.scenes])

    facts_OF, boxes_O4 = rows(train)
    middle_O2 = (boxes_O4[:, :2] + boxes_O4[:, 2:]) / 2
    code_O4 = logit(np.concatenate([middle_O2, boxes_O4[:, 2:] - boxes_O4[:, :2]], axis=1))
    solved = expit(with_constant(rows(test)[0]) @ least_squares(facts_OF, code_O4))
    return mean_iou(test.scenes, _corners(solved[:, :2], solved[:, 2:]))


def detections(train: Told, test: Told) -> float:
    """Returns mAP at an IoU of 0.5 of the boxes that middle tokens tell, with the likeliest class and its probability.

    All classes are as likely before anything is seen, so the posterior is a softmax of the facts over their noise.
    """
    seen, boxes_O4 = _seen(test), seen_boxes(train, test)
    hot_OK = test.noisy("class")[seen.samples, seen.tokens, 1:]
    posterior_OK = softmax(hot_OK * CLASS_GAIN / NOISE["class"] ** 2, axis=1)
    scores = []
    for number, scene in enumerate(test.scenes):
        own = seen.samples == number
        scores.append(
            image_scores(
                boxes=boxes_O4[own] * SIZE,
                classes=1 + posterior_OK[own].argmax(1),
                scores=posterior_OK[own].max(1),
                true_boxes=scene.boxes * SIZE,
                true_classes=scene.categories,
                areas=(scene.boxes[:, 2:] - scene.boxes[:, :2]).prod(1) * SIZE**2,
                crowds=np.zeros(len(scene.boxes), bool),
            )
        )
    return float(summary(scores, np.ones((1, len(scores)), np.int64))["map_0.5"][0])


def seen_boxes(train: Told, test: Told) -> np.ndarray:
    """Returns the box that the middle token of each object tells, [O, 4], in the order of samples and objects."""
    owned_BN = _owned(train)
    samples, tokens = (owned_BN >= 0).nonzero()
    owners_T = owned_BN[samples, tokens]
    boxes_T4 = np.stack([train.scenes[sample].boxes[own] for sample, own in zip(samples, owners_T, strict=True)])
    centres = cell_centres(train.grid)
    sizes_T2 = boxes_T4[:, 2:] - boxes_T4[:, :2]
    away_T2 = (boxes_T4[:, :2] + boxes_T4[:, 2:]) / 2 - centres[tokens]
    solution = least_squares(train.noisy("box")[samples, tokens], np.concatenate([away_T2, logit(sizes_T2)], axis=1))
    seen = _seen(test)
    code_O4 = with_constant(test.noisy("box")[seen.samples, seen.tokens]) @ solution
    return _corners(centres[seen.tokens] + code_O4[:, :2], expit(code_O4[:, 2:]))


def mean_iou(scenes: Sequence[Scene], boxes_O4: np.ndarray) -> float:
    """Returns the mean IoU of boxes, one for each object in the order of scenes and objects."""
    ious, start = [], 0
    for scene in scenes:
        stop = start + len(scene.boxes)
        own, truth = (torch.from_numpy(boxes).float() for boxes in (boxes_O4[start:stop], scene.boxes))
        ious.append(object_scores(own, torch.ones(len(own)), truth))
        start = stop
    return float(np.concatenate(ious).mean())


def _seen(told: Told) -> Seen:
    owned_BN, peaks_BN = _owned(told), told.true("peak")[..., 0]
    places = [
        (number, index, int(np.where(owned_BN[number] == index, peaks_BN[number], -np.inf).argmax()))
        for number, scene in enumerate(told.scenes)
        for index in range(len(scene.boxes))
    ]
    return Seen(*np.array(places).T)


def _owned(told: Told) -> np.ndarray:
    return np.stack([token_owners(scene, told.grid) for scene in told.scenes])


def _corners(centres_O2: np.ndarray, sizes_O2: np.ndarray) -> np.ndarray:
    return np.concatenate([centres_O2 - sizes_O2 / 2, centres_O2 + sizes_O2 / 2], axis=1)
