"""Every task on a small cache: where the features tell the answer it is found, where they do not it is not."""

from typing import Any

import pytest

from foresight_cache.reader import Cache
from foresight_probes import tasks
from foresight_probes.tasks import detection
from tests.support import worlds
from tests.support.probing import chance, probe

CLIPS = ("direction", "speed", "order", "next-frame", "action", "classification")
SLOW = pytest.mark.slow

FOUND = [
    ("boxes", "token-linear", "mean_iou", 0.85),
    ("position", "token-linear", "mean_iou", 0.75),
    ("relation", "pooled-linear", "accuracy", 0.9),
    ("patch-class", "token-linear", "miou", 0.95),
    ("counting", "pooled-linear", "r2", 0.95),
    ("counting", "pooled-linear", "accuracy", 0.95),
    ("hallucination", "pooled-linear", "auroc", 0.95),
    ("hallucination", "mlp-512-256-128", "auroc", 0.95),
    ("reconstruction", "token-linear", "psnr", 30.0),
    ("reconstruction", "token-linear", "ssim", 0.9),
    ("reconstruction", "global-linear", "psnr", 18.0),
    ("direction", "temporal-linear", "accuracy", 0.95),
    ("direction", "temporal-attentive", "accuracy", 0.95),
    ("speed", "temporal-linear", "r2", 0.95),
    ("order", "temporal-linear", "accuracy", 0.95),
    ("next-frame", "temporal-token-linear", "r2", 0.95),
    ("next-frame", "temporal-token-linear", "cosine", 0.95),
    ("action", "pooled-linear", "accuracy", 0.95),
    ("action", "attentive", "accuracy", 0.9),
    ("classification", "pooled-linear", "accuracy", 0.95),
    pytest.param("reconstruction", "conv-decoder", "psnr", 18.0, marks=SLOW),
    pytest.param("edges", "conv-decoder", "edge_f1", 0.8, marks=SLOW),
    ("detection", "token-linear", "map_0.5", 0.9),
    ("detection", "anchored", "map_0.5", 0.9),
    pytest.param("detection", "detr-plain", "map_0.5", 0.3, marks=SLOW),
]
"""Task, head, metric, and what it must at least reach."""

OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("position", "token-linear"): {"epochs": 50},
    ("reconstruction", "token-linear"): {"most": 80},
    ("reconstruction", "global-linear"): {"most": 120},
    ("reconstruction", "conv-decoder"): {"epochs": 9, "most": 64},
    ("edges", "conv-decoder"): {"epochs": 5, "most": 64},
    ("detection", "anchored"): {"epochs": 15},
    ("detection", "detr-plain"): {"epochs": 20, "most": 96, "rate": 0.001},
    ("direction", "temporal-attentive"): {"epochs": 6},
    ("action", "attentive"): {"epochs": 8},
}
"""Of the training, where others than 25 epochs over all samples: enough to see, and no more."""

MARGIN = {"psnr": 1.0, "r2": 0.1, "accuracy": 0.17, "auroc": 0.2}
"""How far a few test samples may lie above chance by chance; 0.1 for other metrics."""


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cache]:
    folder = tmp_path_factory.mktemp("worlds")
    return {"clips": worlds.write_clips(folder / "clips", 200), "pictures": worlds.write_pictures(folder / "p", 200)}


@pytest.fixture(scope="module")
def metrics(caches: dict[str, Cache]) -> "Metrics":
    return Metrics(caches)


class Metrics:
    """Each probe is trained once, however many tests ask for it."""

    def __init__(self, caches: dict[str, Cache]) -> None:
        self._caches = caches
        self._known: dict[tuple[str, ...], dict[str, float]] = {}

    def __call__(self, task: str, head: str, point: str) -> dict[str, float]:
        options = {"epochs": 25, **OPTIONS.get((task, head), {})}
        return self._once((task, head, point), lambda cache: probe(cache, task, head, point, **options))

    def chance(self, task: str, point: str) -> dict[str, float]:
        return self._once((task, point), lambda cache: chance(cache, task, point))

    def _once(self, key: tuple[str, ...], measure: Any) -> dict[str, float]:
        if key not in self._known:
            self._known[key] = measure(self._caches["clips" if key[0] in CLIPS else "pictures"])
        return self._known[key]


@pytest.fixture(autouse=True)
def few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred queries for three objects would take minutes and prove no more."""
    monkeypatch.setattr(detection, "QUERIES", 12)


@pytest.mark.parametrize(("task", "head", "name", "least"), FOUND)
def test_what_is_there_is_found_and_what_is_not_is_at_chance(
    task: str, head: str, name: str, least: float, metrics: Metrics
) -> None:
    found, by_chance = metrics(task, head, worlds.INFORMATIVE)[name], metrics.chance(task, worlds.INFORMATIVE)[name]
    assert found > least
    assert found > by_chance + 0.2
    if name == "ssim":
        return  # a blurred mean picture and a flat one differ much in SSIM, neither of which knows anything
    empty = metrics.chance(task, worlds.EMPTY)[name]
    assert metrics(task, head, worlds.EMPTY)[name] < empty + MARGIN.get(name, 0.1)


def test_every_task_is_tried() -> None:
    tried = {getattr(case, "values", case)[0] for case in FOUND}
    assert {*tried, "naive-boxes"} == set(tasks.names())


def test_naive_boxes_are_a_constant_whatever_the_features_know(caches: dict[str, Cache], metrics: Metrics) -> None:
    """The same features from which boxes are read almost perfectly."""
    naive, constant = (
        probe(caches["pictures"], "naive-boxes", "pooled-linear", point, epochs=100)["mean_iou"]
        for point in (worlds.INFORMATIVE, "constant")
    )
    assert naive < constant + 0.1
    assert naive < metrics("boxes", "token-linear", worlds.INFORMATIVE)["mean_iou"] - 0.6


def test_errors_of_centre_and_size_are_small_where_boxes_are_found(metrics: Metrics) -> None:
    found, nothing = (metrics("position", "token-linear", point) for point in (worlds.INFORMATIVE, worlds.EMPTY))
    assert found["centre_error"] < 0.03 < 0.2 < nothing["centre_error"]
    assert found["size_error"] < 0.2


def test_what_never_changes_is_not_what_the_next_frame_is_known_by(metrics: Metrics) -> None:
    """The planted states turn, so copying the last step is worse than knowing nothing, and the head is not copying."""
    found = metrics("next-frame", "temporal-token-linear", worlds.INFORMATIVE)
    assert found["copy_r2"] < 0.2
    assert found["mean_rank"] < 0.05
    assert metrics("next-frame", "temporal-token-linear", worlds.EMPTY)["mean_rank"] == pytest.approx(0.5, abs=0.1)


def test_dense_labels_are_read_from_the_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = worlds.write_pictures(tmp_path_factory.mktemp("dense") / "cache", 100, dense=True)
    found, nothing = (
        probe(cache, "patch-class", "token-linear", point, epochs=15) for point in (worlds.INFORMATIVE, worlds.EMPTY)
    )
    assert found["miou"] > 0.6
    assert nothing["miou"] < 0.3


@pytest.mark.parametrize("head", ["several-concatenated", "several-weighted", "several-attentive"])
def test_a_second_point_tells_about_the_sample(head: str, caches: dict[str, Cache]) -> None:
    epochs = 4 if head == "several-attentive" else 10
    both, neither = (
        probe(caches["pictures"], "counting", head, worlds.EMPTY, also=also, epochs=epochs, most=100)["r2"]
        for also in (worlds.INFORMATIVE, worlds.EMPTY)
    )
    assert both > 0.7
    assert neither < 0.2


@pytest.mark.parametrize("head", ["several-concatenated", "several-weighted"])
def test_a_second_point_tells_about_tokens(head: str, caches: dict[str, Cache]) -> None:
    both, neither = (
        probe(caches["pictures"], "patch-class", head, worlds.EMPTY, also=also, epochs=8, most=80)["miou"]
        for also in (worlds.INFORMATIVE, worlds.EMPTY)
    )
    assert both > 0.5
    assert neither < 0.3
