"""Kills processes that pull a cache at random instants and compares what is left with the cache itself.

    python -m tests.support.killed_copies SRC FOLDER KILLS SEED

Each worker is a fork that runs the whole command. Prints one JSON line with what was done; fails where a final copy
differs or has a file too many, or a reader sees part of a shard.
"""

import json
import os
import random
import shutil
import sys
import time
import traceback
from pathlib import Path

from foresight_cache import open_cache
from pipelines import cli
from tests.support.copied import contents
from tests.support.random_kills import kill_each


def start(*words: object) -> int:
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - it ends with the process
        status = cli.run([str(word) for word in words])
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def run_and_kill(workers: int, generator: random.Random, longest: float, source: Path, out: Path) -> int:
    """One attempt: all workers start, each is killed at its own instant; returns how many were still at work."""
    points = ["--points", generator.choice(["vit.*", "llm.*", "vit.block_01"])] if generator.random() < 0.3 else []
    return kill_each({start("pull", source, out, *points): generator.uniform(0, longest) for _ in range(workers)})


def check_readable(out: Path, samples: int) -> bool:
    """Reads all that is committed; tells whether it is part of the cache."""
    seen = open_cache(out)
    for name in seen.points:
        assert sum(1 for _ in seen[name]) == len(seen), "a reader sees whole shards only"
    return 0 < len(seen) < samples


def main(source: Path, folder: Path, kills: int, seed: int) -> None:
    begun = time.monotonic()
    assert os.WEXITSTATUS(os.waitpid(start("pull", source, folder / "whole"), 0)[1]) == 0
    longest = 1.1 * (time.monotonic() - begun)
    whole, samples = contents(source), len(open_cache(source))
    assert contents(folder / "whole") == whole
    generator = random.Random(seed)  # noqa: S311 - instants, no secrets
    done = {"kills": 0, "copies": 0, "attempts": 0, "partly copied": 0}
    while done["kills"] < kills:
        out = folder / "C"
        workers = generator.choice([1, 2, 4])
        for _ in range(generator.randint(1, 6)):
            killed = run_and_kill(workers, generator, longest, source, out)
            longest *= 1.0 if killed else 0.95  # the machine may have been busy when it was measured
            done["kills"] += killed
            done["attempts"] += 1
            if (out / "zarr.json").exists():
                done["partly copied"] += check_readable(out, samples)
        last = [start("pull", source, out) for _ in range(workers)]
        assert [os.WEXITSTATUS(os.waitpid(process, 0)[1]) for process in last] == [0] * workers
        final = contents(out)
        assert final.keys() == whole.keys(), f"files differ: {sorted(final.keys() ^ whole.keys())}"
        assert final == whole, f"bytes differ: {[name for name in whole if whole[name] != final[name]]}"
        done["copies"] += 1
        shutil.rmtree(out)
    print(json.dumps(done | {"seconds": round(time.monotonic() - begun, 1)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
