"""Malformed compressed chunks whose checksums are right: refused in a sentence, never a crash or what was in memory.

A hostile program can also compress other numbers well; that, as with chunks that are not compressed, only the SHA-256
of the object tells, which the commit has.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foresight_cache import Cache, open_cache
from foresight_cache.errors import CorruptCache, ForesightError
from foresight_cache.format.codecs import CODECS, CodecName
from foresight_cache.format.commits import Commit
from foresight_cache.format.shard_object import checksum, index_size
from foresight_cache.verify import verify
from tests.cache.fuzz.test_fuzz_cache import inputs, plan, used, verified
from tests.support import planted
from tests.support.malformed_chunks import malformed
from tests.support.mutations import damaged
from tests.support.trial import Trials, generators, put, some

COUNT = some(250)
"""Malformed chunks of each codec and kind of numbers; a twentieth of it where they are large."""
POINT = "vit.block_01"
each_codec = pytest.mark.parametrize("codec", CODECS[1:])


def test_no_malformed_chunk_crashes_or_shows_what_was_in_memory() -> None:
    command = [sys.executable, "-m", "tests.support.malformed_chunks", "1", str(COUNT)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert run.returncode == 0, f"{run.returncode}: {run.stderr[-2000:]}"
    outcomes = json.loads(run.stdout)
    print(outcomes)
    assert all(outcome["refused"] > COUNT and outcome["other numbers"] > COUNT for outcome in outcomes.values())


def with_first_chunk(data: bytes, chunks: int, stored: bytes) -> bytes:
    """Returns an object whose first chunk is another one, with right checksums and a right index."""
    index = np.frombuffer(data[-index_size(chunks) : -4], "<u8").reshape(chunks, 2).copy()
    longer = len(stored) + 4 - int(index[0, 1])
    rest = data[int(index[0, 1]) : -index_size(chunks)]
    index[1:, 0] += np.uint64(longer % 2**64) * (index[1:, 0] != 2**64 - 1)
    index[0, 1] = len(stored) + 4
    return stored + checksum(stored) + rest + index.tobytes() + checksum(index.tobytes())


@each_codec
def test_every_door_of_a_cache_refuses_them_or_reads_the_same(tmp_path: Path, codec: CodecName) -> None:
    points = planted.compressed({POINT: planted.fixed_points()[POINT]}, codec)
    planted.write(tmp_path / "C", planted.plan(points, samples=4))
    path = tmp_path / "C" / POINT / "c/0/0/0"
    whole = path.read_bytes()
    length = int(np.frombuffer(whole[-index_size(4) :][8:16], "<u8")[0])
    generator = random.Random(5)  # noqa: S311
    refused = 0
    for _ in range(150):
        bad = malformed(whole[: length - 4], generator)
        data = with_first_chunk(whole, 4, bad)
        if bad == whole[: length - 4]:
            continue
        path.write_bytes(data)
        cache = open_cache(tmp_path / "C")
        vars(cache)["commits"] = tuple(resized(commit, len(data)) for commit in cache.commits)
        outcomes = [attempt(cache, door) for door in DOORS]
        assert len({str(outcome) for outcome in outcomes}) == 1, [str(outcome)[:200] for outcome in outcomes]
        refused += outcomes[0] is None
        assert verify(open_cache(tmp_path / "C")), "the SHA-256 of the object tells"
    assert refused > 40


def stored_into(cache: Cache, check: bool) -> bytes:
    out = np.full((24, 10), 7, cache[POINT].dtype)
    cache[POINT].stored_into(0, out, check=check)
    return out.tobytes()


DOORS: tuple[Callable[[Cache], bytes], ...] = (
    lambda cache: cache[POINT].stored(0).tobytes(),
    lambda cache: stored_into(cache, True),
    lambda cache: stored_into(cache, False),
    lambda cache: np.asarray(cache[POINT].zarr[0]).tobytes(),
)


def attempt(cache: Cache, door: Callable[[Cache], bytes]) -> bytes | None:
    """Returns what is read, or None where it is refused."""
    try:
        return door(cache)
    except CorruptCache:
        return None


def resized(commit: Commit, size: int) -> Commit:
    """Returns a commit that says that its object has so many bytes, as a hostile program would."""
    return replace(commit, objects={POINT: {**commit.objects[POINT], "bytes": size}})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A compressed cache of two shards with a quarantined sample, in a folder with a tree around it."""
    folder = tmp_path / "work" / "place" / "C"
    folder.parent.mkdir(parents=True)
    whole = plan()
    codecs = dict(zip(whole.points, ("lz4", "small"), strict=True))
    points = {name: replace(point, codec=codecs[name]) for name, point in whole.points.items()}
    planted.write(folder, replace(whole, points=points), bad=(2,))
    return folder


@pytest.mark.parametrize("again", [False, True], ids=["as it was sealed", "sealed again"])
def test_a_root_with_codecs_is_read_as_written_or_refused(root: Path, again: bool) -> None:
    whole, truth = (root / "zarr.json").read_bytes(), used(root)
    with Trials(root) as trials:
        for label, data in inputs(whole, 9, some(160), again):
            with put(root / "zarr.json", data):
                result = trials.run(label, lambda: used(root))
                findings = trials.run(label, lambda: verified(root))
            if not again and not isinstance(result, ForesightError):
                assert result == truth, f"{label}: read otherwise than it was written"
            if data != whole and not again:
                assert findings or isinstance(findings, ForesightError), f"{label}: verify found nothing"
        trials.assert_nothing_outside_changed()
    assert used(root) == truth


def test_damaged_compressed_objects_are_read_as_written_or_refused(root: Path) -> None:
    truth = used(root)
    donor = (root / POINT / "c/1/0/0").read_bytes()
    with Trials(root) as trials:
        for number, generator in generators(10, some(150)):
            path = root / generator.choice((POINT, "llm.layer_01")) / "c" / generator.choice("01") / "0" / "0"
            whole = path.read_bytes()
            data = damaged(whole, generator, donor)
            with put(path, data):
                result = trials.run(number, lambda: used(root))
                findings = trials.run(number, lambda: verified(root))
            assert result == truth or isinstance(result, ForesightError), f"object {number} was read otherwise"
            assert findings or data == whole
        trials.assert_nothing_outside_changed()
    assert trials.outcomes["CorruptCache"] > some(50)
