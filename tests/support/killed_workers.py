"""Kills extracting processes at random instants and compares what is left with an undisturbed run.

    python -m tests.support.killed_workers SHARDS FOLDER KILLS SEED

Run as a program of its own, because it forks: it imports all that is slow to import but computes nothing, since
torch's threads do not survive a fork. Each worker is a fork that loads the model and runs the whole `extract`.
Prints one JSON line with what was done; fails where a final cache differs or has a file too many.
"""

import json
import os
import random
import shutil
import sys
import time
import traceback
from pathlib import Path

import torch
import transformers.models.qwen2_5_vl.modeling_qwen2_5_vl
import transformers.models.qwen2_5_vl.processing_qwen2_5_vl  # noqa: F401 - imported once for all forks

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import LoadOptions
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution, ExtractionOptions
from foresight_cache.points import resolve
from foresight_cache.shards import ShardSet, open_shards
from tests.support.random_kills import kill_each


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def start(shards: ShardSet, out: Path) -> int:
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        torch.set_num_threads(1)
        encoder = encoders.load("tiny:qwen2_5_vl", LoadOptions())
        points = resolve(["E1", "E4", "E8"], [tap.name for tap in encoder.taps])
        extract(
            shards,
            encoder,
            ExtractionOptions(
                points=points, inputs=InputSpec(size=InputSize.parse("56")), execution=Execution(batch_tokens=16)
            ),
            out,
        )
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def run_and_kill(workers: int, generator: random.Random, longest: float, shards: ShardSet, out: Path) -> int:
    """One attempt: all workers start, each is killed at its own instant; returns how many were still at work."""
    return kill_each({start(shards, out): generator.uniform(0, longest) for _ in range(workers)})


def main(shards: Path, folder: Path, kills: int, seed: int) -> None:
    shard_set = open_shards(shards)
    begun = time.monotonic()
    assert os.WEXITSTATUS(os.waitpid(start(shard_set, folder / "whole"), 0)[1]) == 0
    longest = 1.1 * (time.monotonic() - begun)
    whole = contents(folder / "whole")
    generator = random.Random(seed)  # noqa: S311 - instants, no secrets
    done = {"kills": 0, "caches": 0, "attempts": 0, "partly committed": 0}
    while done["kills"] < kills:
        out = folder / "C"
        workers = generator.choice([1, 2, 4])
        for _ in range(generator.randint(1, 6)):
            killed = run_and_kill(workers, generator, longest, shard_set, out)
            longest *= 1.0 if killed else 0.9  # the machine may have been busy when it was measured
            done["kills"] += killed
            done["attempts"] += 1
            if (out / "zarr.json").exists():
                seen = open_cache(out)
                done["partly committed"] += 0 < len(seen) < shard_set.samples
                for name in seen.points:
                    assert sum(1 for _ in seen[name]) == len(seen), "a reader sees whole shards only"
        last = [start(shard_set, out) for _ in range(workers)]
        assert [os.WEXITSTATUS(os.waitpid(process, 0)[1]) for process in last] == [0] * workers
        final = contents(out)
        assert final.keys() == whole.keys(), f"files differ: {sorted(final.keys() ^ whole.keys())}"
        assert final == whole, f"bytes differ: {[name for name in whole if whole[name] != final[name]]}"
        done["caches"] += 1
        shutil.rmtree(out)
    print(json.dumps(done | {"seconds": round(time.monotonic() - begun, 1)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
