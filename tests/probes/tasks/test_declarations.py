"""What tasks declare of themselves is what they do: their metrics, and the annotations that they need."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from foresight_cache.annotations import ANNOTATION_KINDS
from foresight_cache.reader import Cache
from foresight_probes import heads, tasks
from foresight_probes.tasks import TaskContext
from tests.support import worlds
from tests.support.probing import batch, features, samples

CLIPS = ("direction", "speed", "order", "next-frame", "action", "classification")


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cache]:
    """Samples with every kind of annotation that a task asks for."""
    folder = tmp_path_factory.mktemp("worlds")
    return {"clips": worlds.write_clips(folder / "clips", 40), "pictures": worlds.write_pictures(folder / "p", 40)}


def cache_of(name: str, caches: Mapping[str, Cache]) -> Cache:
    return caches["clips" if name in CLIPS else "pictures"]


@pytest.mark.parametrize("name", tasks.names())
def test_the_first_metric_selects_the_epoch(name: str) -> None:
    task = tasks.load(name)
    assert task.metric_names[0] == task.primary
    assert len(set(task.metric_names)) == len(task.metric_names)
    assert set(task.annotations) <= set(ANNOTATION_KINDS)


@pytest.mark.parametrize("name", tasks.names())
def test_metrics_are_those_that_are_declared(name: str, caches: dict[str, Cache]) -> None:
    """On answers of a head that knows nothing."""
    cache = cache_of(name, caches)
    task = tasks.load(name, TaskContext(samples=cache.rows, training=cache.rows))
    asked = samples(cache, task)[:12]
    everything = features(cache, worlds.EMPTY, [sample["row"] for sample in asked])
    targets = [target for sample in asked if (target := task.target(sample)) is not None]
    outputs = task.outputs_for(width=everything.tokens.shape[2], grid=everything.grids[0])
    seen, wanted = batch(task, everything, targets, list(range(len(asked))))
    head = heads.build(task.heads[0], width=everything.tokens.shape[2], outputs=outputs, seed=0)
    with torch.no_grad():
        measured = task.resampled_metrics(task.scores(head(seen), wanted), np.ones((1, len(asked)), dtype=int))
    assert set(measured) | set(task.not_measured) == set(task.metric_names)


@pytest.mark.parametrize("name", tasks.names())
def test_annotations_that_are_not_declared_change_nothing(name: str, caches: dict[str, Cache]) -> None:
    """And without those that are there is no target."""
    cache = cache_of(name, caches)
    task = tasks.load(name, TaskContext(samples=cache.rows, training=cache.rows))
    for sample in samples(cache, task)[:12]:
        stripped = {
            kept: {
                **sample,
                "annotations": {kind: value for kind, value in sample["annotations"].items() if keep(kind)},
            }
            for kept, keep in {
                "declared": lambda kind: kind in task.annotations,
                "others": lambda kind: kind not in task.annotations,
            }.items()
        }
        with_declared, whole = task.target(stripped["declared"]), task.target(sample)
        assert with_declared is not None
        assert whole is not None
        assert torch.equal(with_declared, whole)
        assert task.has_target(stripped["others"]) == (not task.annotations)
