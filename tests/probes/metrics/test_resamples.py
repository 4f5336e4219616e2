"""Every task's metrics of many resamples at once against those of the same samples, repeated one by one."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from foresight_probes import tasks
from foresight_probes.metrics import Scores, segmentation_metrics
from foresight_probes.metrics.coco_matching import image_scores
from foresight_probes.metrics.resamples import grouped_sums, mean, median, variance

SAMPLES = 23


def scores_of(kind: str) -> Scores:
    """Such as a head might have, with equal numbers among them."""
    generator = np.random.default_rng(0)
    whole = generator.integers(0, 4, (SAMPLES, 7)).astype(float)
    right = generator.integers(0, 2, SAMPLES)
    match kind:
        case "number":
            return whole[:, :2]
        case "choice":
            return np.stack([right, generator.random(SAMPLES), whole[:, 0] * (1 - right), whole[:, 1]], axis=1)
        case "verdict":
            return np.stack([right, generator.normal(size=SAMPLES).round(1)], axis=1)
        case "fractions":
            return generator.random((SAMPLES, 3))
        case "objects":
            return [generator.random(count) for count in generator.integers(1, 6, SAMPLES)]
        case "maps":
            return [segmentation_metrics.class_counts(*generator.integers(0, 5, (2, 30))) for _ in range(SAMPLES)]
        case "detections":
            return [some_detections(generator) for _ in range(SAMPLES)]
        case "pictures":
            return np.concatenate([generator.random((SAMPLES, 4)), np.full((SAMPLES, 1), np.nan)], axis=1)
        case "edges":
            return generator.random((SAMPLES, 1))
        case _:
            return generator.random((SAMPLES, 7)) + 0.1


def some_detections(generator: np.random.Generator) -> np.ndarray:
    corners = generator.uniform(0, 50, (4, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(5, 50, (4, 2))], axis=1)
    return image_scores(
        boxes=boxes + generator.normal(0, 3, boxes.shape),
        classes=generator.integers(1, 3, 4),
        scores=generator.random(4),
        true_boxes=boxes,
        true_classes=generator.integers(1, 3, 4),
        areas=generator.uniform(100, 2000, 4),
        crowds=np.zeros(4),
    )


KINDS = {
    "action": "choice",
    "classification": "choice",
    "boxes": "objects",
    "counting": "number",
    "detection": "detections",
    "direction": "choice",
    "edges": "edges",
    "hallucination": "verdict",
    "naive-boxes": "objects",
    "next-frame": "sums",
    "order": "choice",
    "patch-class": "maps",
    "position": "fractions",
    "reconstruction": "pictures",
    "relation": "choice",
    "speed": "number",
}


@pytest.mark.parametrize("name", tasks.names())
def test_resamples_at_once_and_one_by_one(name: str) -> None:
    """The first resample has every sample once, the last only one sample, of which much is undefined."""
    task, scores = tasks.load(name), scores_of(KINDS[name])
    generator = np.random.default_rng(1)
    picks = [np.arange(SAMPLES), *generator.integers(SAMPLES, size=(20, SAMPLES)), np.zeros(SAMPLES, np.int64)]
    counts = np.stack([np.bincount(each, minlength=SAMPLES) for each in picks])
    found = task.resampled_metrics(scores, counts)
    assert task.primary in found
    for row, each in enumerate(picks):
        expected = task.metrics([np.asarray(scores[place]) for place in np.sort(each)])
        assert {name for name, values in found.items() if np.isfinite(values[row])} == expected.keys()
        for metric, value in expected.items():
            assert found[metric][row] == pytest.approx(value, rel=1e-9, abs=1e-12), metric


def test_sums_means_and_medians_equal_numpy() -> None:
    generator = np.random.default_rng(0)
    values, kinds = generator.normal(size=30).round(1), generator.integers(0, 4, 30)
    counts = generator.integers(0, 3, (25, 30))
    for row, count in enumerate(counts):
        drawn, drawn_kinds = np.repeat(values, count), np.repeat(kinds, count)
        assert mean(values, counts)[row] == pytest.approx(np.mean(drawn))
        assert median(values, counts)[row] == pytest.approx(np.median(drawn))
        assert variance(values, counts)[row] == pytest.approx(np.var(drawn))
        for kind in range(4):
            assert grouped_sums(values, kinds, counts)[row, kind] == pytest.approx(drawn[drawn_kinds == kind].sum())


def test_equal_answers_have_no_explained_variance() -> None:
    """A resample may have none but equal ones: 0.1 seven times, whose mean is not 0.1 to the last bit."""
    task = tasks.load("speed")
    scores = np.array([[0.3, 0.1]] * 7 + [[0.2, 0.5]])
    counts = np.array([[1] * 7 + [0], [1] * 8])
    assert np.isfinite(task.resampled_metrics(scores, counts)["r2"]).tolist() == [False, True]
    assert "r2" not in task.metrics(scores[:7])


def test_an_outlier_does_not_swallow_the_rest() -> None:
    """R² of a resample without it is that of scikit-learn, and not a difference of large numbers."""
    generator = np.random.default_rng(0)
    truth = np.concatenate([generator.normal(size=50), [1e9]])
    found = truth + generator.normal(size=51) * 0.3
    counts = np.ones((2, 51), np.int64)
    counts[1, -1] = 0
    r2 = tasks.load("speed").resampled_metrics(np.stack([found, truth], axis=1), counts)["r2"]
    assert r2[1] == pytest.approx(r2_score(truth[:-1], found[:-1]), rel=1e-6)
