"""Kills processes that recode a cache at random instants and compares what is left with an undisturbed run.

    python -m tests.support.killed_recoding SOURCE FOLDER CODEC KILLS SEED

A program of its own, because it forks. Prints one JSON line with what was done; fails where a final cache differs.
"""

import json
import os
import random
import shutil
import sys
import time
import traceback
from pathlib import Path

from numcodecs import blosc  # noqa: F401 - imported once for all forks

from foresight_cache import open_cache
from foresight_cache.format.codec_choice import CodecChoice
from foresight_cache.rewriting.recoding import recode
from tests.support.random_kills import kill_each


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def start(source: Path, codec: str, out: Path) -> int:
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        recode(open_cache(source), CodecChoice.parse(codec), out)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def run_and_kill(workers: int, generator: random.Random, longest: float, source: Path, codec: str, out: Path) -> int:
    """Returns how many processes were still at work when they were killed."""
    return kill_each({start(source, codec, out): generator.uniform(0, longest) for _ in range(workers)})


def main(source: Path, folder: Path, codec: str, kills: int, seed: int) -> None:
    begun = time.monotonic()
    assert os.waitpid(start(source, codec, folder / "whole"), 0)[1] == 0
    longest = 1.1 * (time.monotonic() - begun)
    whole = contents(folder / "whole")
    generator = random.Random(seed)  # noqa: S311 - instants, no secrets
    done = {"kills": 0, "caches": 0, "partly committed": 0}
    while done["kills"] < kills:
        out, workers = folder / "C", generator.choice([1, 2])
        for _ in range(generator.randint(1, 5)):
            killed = run_and_kill(workers, generator, longest, source, codec, out)
            longest *= 1.0 if killed else 0.9
            done["kills"] += killed
            if (out / "zarr.json").exists():
                done["partly committed"] += 0 < len(open_cache(out).commits) < len(open_cache(source).commits)
        last = [start(source, codec, out) for _ in range(workers)]
        assert [os.waitpid(process, 0)[1] for process in last] == [0] * workers
        assert contents(out) == whole
        done["caches"] += 1
        shutil.rmtree(out)
    print(json.dumps(done | {"seconds": round(time.monotonic() - begun, 1)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
