"""Writers that come, die, sleep and lose answers in any order: every reader sees whole shards, and the end is one.

The simulation runs the real writer over a store in memory, a request at a time; `tests/support/interleaving` says how.
"""

import hashlib
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from foresight_cache import writer
from foresight_cache.format import layout
from foresight_cache.reader import Cache
from foresight_cache.verify import verify
from tests.support.contended import ALL, POINTS, Alone, plan, work
from tests.support.interleaving import Scheduler, Worker
from tests.support.memory_store import Bucket, MemoryWritableStore, OverwritingStore, contents

WORKERS = 6
TYPICAL_STEPS = 900
WANTED = (
    plan({name: POINTS[name] for name in ("vit.block_01", "pixels")}, shards=5),
    plan({name: POINTS[name] for name in ("llm.layer_01", "pixels")}, shards=6),
    plan({name: POINTS[name] for name in ("vit.block_01",)}),
    ALL,
    plan({name: POINTS[name] for name in ("llm.layer_01",)}, shards=3),
    ALL,
)
"""What workers come with: some points of some shards, or all."""


class Onlooker:
    """A reader that looks after every step: what it has seen committed stays as it was, and is there."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.seen: dict[tuple[str, str], str] = {}
        self.sizes: dict[str, tuple[int, set[str]]] = {}

    def look(self) -> None:
        changed, self.bucket.changed = self.bucket.changed, set()
        for key in changed:
            if key.startswith("samples/0"):
                self._committed(key)
            elif key.endswith("zarr.json"):
                self._described(key)
        for (commit, point), digest in self.seen.items():
            key = layout.object_key(point, int(commit[8:14]))
            if changed & {key, commit}:
                data = self.bucket.objects[key][0]
                assert hashlib.sha256(data).hexdigest() == digest, f"{key} is not what was committed"

    def _described(self, key: str) -> None:
        metadata = json.loads(self.bucket.objects[key][0])
        ours = metadata["attributes"].get("foresight", {})
        length = metadata["shape"][0] if "shape" in metadata else len(ours.get("shards", ()))
        points = {point["name"] for point in ours.get("points", ())}
        before, listed = self.sizes.get(key, (0, set()))
        assert length >= before, f"{key} has become shorter"
        assert points >= listed, f"{key} has lost points"
        self.sizes[key] = length, points

    def _committed(self, key: str) -> None:
        entries = json.loads(self.bucket.objects[key][0])["objects"]
        for (commit, point), digest in self.seen.items():
            assert commit != key or entries.get(point, {}).get("sha256") == digest, f"{key} has changed or lost {point}"
        self.seen |= {(key, point): entry["sha256"] for point, entry in entries.items()}


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Alone:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(writer, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(writer, "_AT_ONCE", 1)  # one thread of a worker at a time, so that a seed tells all
    buckets = Bucket(), Bucket()
    for kind, bucket in enumerate(buckets):
        work(MemoryWritableStore(bucket, tmp_path), ALL, kind)
    assert contents(buckets[0]) != contents(buckets[1])
    return Alone((contents(buckets[0]), contents(buckets[1])))


def simulated(
    seed: int, scratch: Path, *, kinds: int, orphans: Mapping[str, bytes], store: type[MemoryWritableStore]
) -> Bucket:
    """Returns what six workers leave, of which some are killed, and one that comes last and finishes the work.

    `orphans` are there from the start, and no commit lists them.
    """
    generator = random.Random(seed)  # noqa: S311 - chance, no secret
    bucket = Bucket()
    for key, data in orphans.items():
        bucket.put(key, data)
    onlooker = Onlooker(bucket)

    def job(number: int) -> Worker:
        def client(worker: Worker) -> None:
            options = {"generator": generator, "lost": 0.1, "taken_over": 0.2}
            own = store(bucket, scratch, step=worker.step, is_dead=lambda: worker.killed, **options)
            work(own, WANTED[number % len(WANTED)], number % kinds)

        return Worker(f"worker {number}", client)

    Scheduler(generator, kills=generator.randrange(4), sleeps=generator.randrange(4)).run(
        [job(number) for number in range(WORKERS)], onlooker.look, TYPICAL_STEPS
    )
    last = Worker("the last", lambda worker: work(store(bucket, scratch, step=worker.step), ALL, 0))
    Scheduler(generator).run([last], onlooker.look, TYPICAL_STEPS)
    return bucket


def check(
    seed: int, alone: Alone, scratch: Path, *, kinds: int, store: type[MemoryWritableStore] = MemoryWritableStore
) -> None:
    root, whole = layout.ROOT_KEY, alone.objects[seed % 2 * (kinds - 1)]
    cut = {
        key: whole[key][: 7 * seed % len(whole[key])]
        for key in (layout.object_key("vit.block_01", shard) for shard in (2, 6))
    }
    orphans = {} if seed % 3 else {root: whole[root], **cut}  # as a copy of the cache that was interrupted
    bucket = simulated(seed, scratch, kinds=kinds, orphans=orphans, store=store)
    if kinds == 1:
        assert contents(bucket) == alone.objects[0]
    alone.check(contents(bucket))
    assert verify(Cache(MemoryWritableStore(bucket, scratch))) == []


@pytest.mark.parametrize("kinds", [1, 2])
def test_any_interleaving_leaves_one_whole_cache(tmp_path: Path, alone: Alone, kinds: int) -> None:
    for seed in range(12):
        check(seed, alone, tmp_path, kinds=kinds)


@pytest.mark.parametrize(
    "seeds", [pytest.param(100, marks=pytest.mark.slow), pytest.param(400, marks=pytest.mark.simulation)]
)
@pytest.mark.parametrize("kinds", [1, 2])
def test_of_many_interleavings_none_is_wrong(tmp_path: Path, alone: Alone, kinds: int, seeds: int) -> None:
    for seed in range(seeds):
        check(seed, alone, tmp_path, kinds=kinds)


def test_overwriting_instead_is_seen_to_fail(tmp_path: Path, alone: Alone) -> None:
    wrong = 0
    for seed in range(12):
        try:
            check(seed, alone, tmp_path, kinds=2, store=OverwritingStore)
        except AssertionError:
            wrong += 1
    assert wrong > 6
