"""Processes that write one cache of tiny shards, with file locks or without, undisturbed or killed at random instants.

    python -m tests.support.light_writers FOLDER RUNS LOCKS KINDS KILLS SEED

A program of its own, because it forks. LOCKS is `real`, `ignored` (locks that keep nobody off), the name of an error
with which they are refused, or `blind`: ignored, and no process sees that another one lives, so that all do all shards.
KINDS is how many kinds of GPUs compute. In each run two processes start at once; with KILLS, they are killed first,
again and again, as often as that in all. Prints one JSON line; fails where a process does, or where what is left is not
what one process alone leaves.
"""

import errno
import fcntl
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

from foresight_cache import writer
from foresight_cache.format.layout import PARTIAL
from foresight_cache.runtime import attempts
from tests.support.contended import ALL, Alone, work


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def replace_locks(locks: str) -> None:
    """Makes file locks what they are on some filesystems."""

    def flock(_descriptor: int, _operation: int) -> None:
        if locks not in ("ignored", "blind"):
            code = getattr(errno, locks)
            raise OSError(code, os.strerror(code))

    if locks != "real":
        fcntl.flock = flock
    if locks == "blind":
        attempts.LEASE_SECONDS = -1.0
        attempts.machine = lambda: f"{os.getpid():012x}"


def start_two(out: Path, kinds: int) -> list[int]:
    """Forks two writers that begin at once, when the pipe that both read from is closed."""
    reading, writing = os.pipe()
    processes = []
    for number in range(2):
        if not (process := os.fork()):
            os.close(writing)
            write(out, number % kinds, reading)
        processes.append(process)
    os.close(reading)
    os.close(writing)
    return processes


def write(out: Path, kind: int, gate: int) -> None:
    """What a forked process does, and then ends."""
    status = 1
    try:
        os.read(gate, 1)
        work(out, ALL, kind)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def kill(processes: list[int], generator: random.Random, longest: float) -> int:
    """Kills each at an instant of its own; returns how many were still at work."""
    begun, killed = time.monotonic(), 0
    for process, instant in sorted((process, generator.uniform(0, longest)) for process in processes):
        time.sleep(max(0.0, begun + instant - time.monotonic()))
        os.kill(process, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(process, 0)[1])
    return killed


def main(folder: Path, runs: int, locks: str, kinds: int, kills: int, seed: int) -> None:
    warnings.simplefilter("ignore")
    os.fsync = lambda _: None  # no power is lost here
    writer._POLL_SECONDS = 0.01
    work(folder / "alone-0", ALL, 0)
    work(folder / "alone-1", ALL, 1)
    alone = Alone((contents(folder / "alone-0"), contents(folder / "alone-1")))
    replace_locks(locks)
    generator = random.Random(seed)  # noqa: S311 - instants, no secrets
    out, begun = folder / "C", time.monotonic()
    done = {"locks": locks, "processes": 0, "ended well": 0, "killed": 0}
    longest = 0.0
    for _ in range(runs):
        while longest and done["killed"] < kills and generator.random() < 0.7:
            done["killed"] += kill(start_two(out, kinds), generator, longest)
        undisturbed = time.monotonic()
        processes = start_two(out, kinds)
        statuses = [os.WEXITSTATUS(os.waitpid(process, 0)[1]) for process in processes]
        longest = longest or 1.1 * (time.monotonic() - undisturbed)
        done["processes"] += len(statuses)
        done["ended well"] += statuses.count(0)
        assert statuses == [0, 0]
        found = contents(out)
        if locks == "blind":  # what the killed have left is only removed a day later
            found = {key: data for key, data in found.items() if not key.startswith(PARTIAL)}
        alone.check(found)
        assert kinds > 1 or found == alone.objects[0]
        shutil.rmtree(out)
    print(json.dumps(done | {"seconds": round(time.monotonic() - begun, 1)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:7]))
