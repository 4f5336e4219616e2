"""How often arrays will be read is what a training then reads, counted in bytes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from foresight_cache import Cache
from foresight_cache.format.stores import LocalStore
from foresight_probes.options import TrainingOptions
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.reading_passes import AGAIN, reading_passes
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep
from tests.support import scenes

QUICK = TrainingOptions(epochs=2, resamples=20)


class Counting(LocalStore):
    """Counts the bytes that are read of each array's objects."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read_bytes: Counter[str] = Counter()
        self._lock = Lock()

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        size, read = super().ranges(key)

        def counted(start: int, stop: int) -> Any:
            self._count(key, stop - start)
            return read(start, stop)

        return size, counted

    def fill(self, key: str, start: int, buffers: Any) -> int:
        filled = super().fill(key, start, buffers)
        self._count(key, filled)
        return filled

    def _count(self, key: str, size: int) -> None:
        with self._lock:
            self.read_bytes[key.split("/")[0]] += size


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 64).path)


def sweep(*heads: str, tasks: tuple[str, ...] = ("boxes",), **more: Any) -> Sweep:
    named: dict[str, Any] = {"points": ("vit.block_01",), "options": QUICK} | more
    return Sweep(tasks=tasks, heads=heads, **named)


STREAMED = replace(QUICK, resident="none")


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (sweep("pooled-linear", "mlp"), {"vit.block_01": 1}),
        (sweep("pooled-linear", "mlp", options=STREAMED), {"vit.block_01": 1}),
        (sweep("attentive"), {"vit.block_01": 1}),
        (sweep("attentive", options=STREAMED), {"vit.block_01": AGAIN}),
        (sweep("attentive", options=replace(QUICK, resident_bytes=10)), {"vit.block_01": AGAIN}),
        (sweep("ridge", "mlp", tasks=("counting",)), {"vit.block_01": 2}),
        (sweep("pooled-linear", points=None), {"vit.block_01": 1, "vit.block_02": 1, "pixels": 1}),
        (sweep("pooled-linear", controls=("pixels", "shuffled", "positions-only")), {"vit.block_01": 1, "pixels": 1}),
        (sweep("several-weighted", points=("vit.block_01+vit.block_02",)), {"vit.block_01": 1, "vit.block_02": 1}),
        (sweep("pooled-linear", options=replace(QUICK, folds=2)), {"vit.block_01": 2}),
        (sweep("pooled-linear", options=replace(QUICK, refits=4)), {"vit.block_01": 5}),
    ],
)
def test_as_often_as_the_bytes_are_read(root: Path, tmp_path: Path, wanted: Sweep, passes: dict[str, int]) -> None:
    store = Counting(root)
    plan = plan_sweep(Cache(store), wanted, tmp_path)
    assert reading_passes(plan) == passes
    if passes == {"vit.block_01": 1}:
        train_sweep(plan)
        size = sum(commit.objects["vit.block_01"]["bytes"] for commit in plan.cache.commits)
        assert 0.95 < store.read_bytes["vit.block_01"] / size < 1.1
        assert reading_passes(plan_sweep(Cache(store), wanted, tmp_path)) == {}, "nothing is left to be trained"


def test_what_is_read_in_each_epoch_is_read_more_than_once(root: Path, tmp_path: Path) -> None:
    store = Counting(root)
    plan = plan_sweep(Cache(store), sweep("attentive", options=STREAMED), tmp_path)
    assert reading_passes(plan)["vit.block_01"] >= AGAIN
    train_sweep(plan)
    size = sum(commit.objects["vit.block_01"]["bytes"] for commit in plan.cache.commits)
    assert store.read_bytes["vit.block_01"] > 1.9 * size
