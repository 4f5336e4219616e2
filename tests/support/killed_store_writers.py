"""Kills processes that write one cache into an object store, and compares what is left with an undisturbed cache.

    python -m tests.support.killed_store_writers moto|losing KILLS SEED

A program of its own, because it forks. The writers are light: they write planted numbers and compute nothing. Prints
one JSON line with what was done; fails where a final cache differs, has an object too many or does not verify.
"""

import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from foresight_cache import open_cache
from foresight_cache.errors import NotACache
from foresight_cache.format.stores import patience
from foresight_cache.verify import verify
from tests.support import buckets, planted
from tests.support.losing_store import losing_store

SHARE = 0.1
"""Of the requests, those that go wrong."""
_SAMPLES = 30


def start(url: str, pause: float) -> int:
    """Forks a writer that pauses after each object, as one that computes does."""
    if process := os.fork():
        return process
    status = 1
    try:
        planted.write(url, planted.plan(planted.fixed_points(), samples=_SAMPLES), pause=pause)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def attempt(url: str, workers: int, generator: random.Random, longest: float, pause: float) -> int:
    """Starts workers and kills each at an instant of its own; returns how many were still at work."""
    instants = {start(url, pause): generator.uniform(0, longest) for _ in range(workers)}
    begun, killed = time.monotonic(), 0
    for process, instant in sorted(instants.items(), key=lambda item: item[1]):
        time.sleep(max(0.0, begun + instant - time.monotonic()))
        os.kill(process, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(process, 0)[1])
    return killed


def finish(url: str, workers: int) -> None:
    """Lets workers complete the cache undisturbed."""
    last = [start(url, 0.0) for _ in range(workers)]
    assert [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in last] == [0] * workers


def main(kind: str, kills: int, seed: int, pause: float = 0.004) -> dict[str, Any]:
    generator = random.Random(seed)  # noqa: S311 - instants, no secrets
    with tempfile.TemporaryDirectory() as folder:
        planted.write(Path(folder) / "C", planted.plan(planted.fixed_points(), samples=_SAMPLES))
        paths = [path for path in Path(folder, "C").rglob("*") if path.is_file()]
        whole = {path.relative_to(Path(folder, "C")).as_posix(): path.read_bytes() for path in paths}
    done: dict[str, Any] = {"kills": 0, "caches": 0, "attempts": 0, "partly committed": 0}
    begun = time.monotonic()
    patience.PAUSES = (0.02, 1.0)
    with STORES[kind](seed, done) as contents:
        number, longest = 0, 2.0
        while done["kills"] < kills:
            number += 1
            url, workers = f"s3://features/C{number}", generator.choice([1, 2, 4])
            for _ in range(generator.randint(1, 6)):
                killed = attempt(url, workers, generator, longest, pause)
                longest *= 1.1 if killed == workers else 0.8 if not killed else 1.0
                done["kills"] += killed
                done["attempts"] += 1
                done["partly committed"] += _seen(url)
            finish(url, workers)
            assert verify(open_cache(url)) == []
            final = contents(f"C{number}")
            assert final.keys() == whole.keys(), f"objects differ: {sorted(final.keys() ^ whole.keys())}"
            assert final == whole, f"bytes differ: {[key for key in whole if whole[key] != final[key]]}"
            done["caches"] += 1
    return done | {"seconds": round(time.monotonic() - begun, 1)}


def _seen(url: str) -> bool:
    """Reads what a reader sees between two attempts; tells whether that is a part of the cache."""
    try:
        cache = open_cache(url)
    except NotACache:
        return False
    for name in cache.points:
        assert sum(1 for _ in cache[name]) == len(cache), "a reader sees whole shards only"
    return 0 < len(cache) < _SAMPLES


@contextmanager
def _losing(seed: int, done: dict[str, Any]) -> Iterator[Callable[[str], dict[str, bytes]]]:
    def contents(name: str) -> dict[str, bytes]:
        prefix = f"{name}/"
        return {key.removeprefix(prefix): each.data for key, each in store.objects.items() if key.startswith(prefix)}

    with pytest.MonkeyPatch.context() as patch, losing_store(patch) as store:
        store.sometimes(SHARE, seed=seed)
        yield contents
        done |= {"requests": len(store.requests), "faults": dict(store.done)}


@contextmanager
def _moto(_seed: int, _done: dict[str, Any]) -> Iterator[Callable[[str], dict[str, bytes]]]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request would bury what a writer says
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in buckets.environment(f"http://{host}:{port}").items():
            patch.setenv(name, value)
        buckets.client().create_bucket(Bucket="features")
        yield lambda name: buckets.contents(f"s3://features/{name}")
    server.stop()


STORES: dict[str, Any] = {"losing": _losing, "moto": _moto}

if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
