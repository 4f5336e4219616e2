"""What `verify` looks at, what it says of it, and that it disturbs nobody."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresight_cache import Cache, open_cache
from foresight_cache.format.layout import PointLayout
from foresight_cache.format.shard_object import checksum
from foresight_cache.format.stores import LocalStore
from foresight_cache.runtime.claims import claim
from foresight_cache.verify import verify, verify_sample
from foresight_cache.writer import CacheWriter
from tests.support import planted
from tests.support.command import foresight

BAD = (2, 9)


@pytest.fixture(params=["fixed", "ragged"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Ten samples in three shards, two of them quarantined."""
    points = planted.fixed_points()
    if request.param == "ragged":
        points = {"vit.block_01": PointLayout.ragged("patch", "bfloat16", 300, 10)}
    planted.write(tmp_path / "C", planted.plan(points), ragged=request.param == "ragged", bad=BAD)
    return tmp_path / "C"


def flip(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


class Counting(LocalStore):
    """Counts the bytes of shard objects that are read."""

    read_bytes = 0

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        size, read = super().ranges(key)

        def counted(start: int, stop: int) -> Any:
            self.read_bytes += stop - start
            return read(start, stop)

        return size, counted


class TestSample:
    def test_an_undamaged_cache(self, root: Path) -> None:
        report = verify_sample(open_cache(root), 3)
        assert (report.findings, report.checked, report.samples) == ([], 3, 8)
        report = verify_sample(open_cache(root), 1000)
        assert (report.findings, report.checked, report.samples) == ([], 8, 8)

    def test_damage_is_found_where_its_sample_is_chosen(self, root: Path) -> None:
        flip(root / "vit.block_01/c/1/0/0", 17)  # of the first sample of the second shard
        found = [verify_sample(open_cache(root), 4, seed).findings for seed in range(40)]
        hits = [findings for findings in found if findings]
        assert 8 < len(hits) < 32, "half of the samples find it half of the time"
        for findings in hits:
            assert [finding.place for finding in findings] == ["vit.block_01/c/1/0/0"]
            assert findings[0].problem.startswith("sample planted/train/0004 is missing or fails its checksum; mend")
        assert found == [verify_sample(open_cache(root), 4, seed).findings for seed in range(40)]

    def test_only_the_chosen_samples_are_read(self, tmp_path: Path) -> None:
        planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
        store = Counting(tmp_path / "C")
        verify_sample(Cache(store), 1)
        chunks = [24 * 10 * 2, 6 * 12 * 4, 56 * 84 * 3]
        index = 4 * 16 + 4
        assert store.read_bytes == sum(chunk + 4 + index for chunk in chunks)

    def test_a_chunk_that_the_index_does_not_have(self, root: Path) -> None:
        """The object of a writer that left a sample out, by hand: its index is whole."""
        path = root / "vit.block_01/c/0/0/0"
        whole = path.read_bytes()
        entries = 4 * open_cache(root).layout.points["vit.block_01"].chunks_per_sample
        index = np.frombuffer(whole[-16 * entries - 4 : -4], "<u8").copy()
        index[:2] = 2**64 - 1
        path.write_bytes(whole[: -16 * entries - 4] + index.tobytes() + checksum(index.tobytes()))
        findings = verify_sample(open_cache(root), 8).findings
        assert [finding.problem.split(";")[0] for finding in findings] == [
            "sample planted/train/0000 is missing or fails its checksum"
        ]
        assert len(verify(open_cache(root))) == 2

    def test_records_and_sizes_are_checked_all(self, root: Path) -> None:
        (root / "vit.block_01/c/0/0/0").unlink()
        truncated = root / "vit.block_01/c/1/0/0"
        truncated.write_bytes(truncated.read_bytes()[:-1])
        flip(root / "samples/000002.json", 5)
        (root / "samples/zarr.json").unlink()
        for seed in range(3):
            places = {finding.place for finding in verify_sample(open_cache(root), 1, seed).findings}
            assert places == {
                *("vit.block_01/c/0/0/0", "vit.block_01/c/1/0/0"),
                *("samples/000002.json", "samples/zarr.json"),
            }


class TestStrays:
    KEYS = ("notes.txt", "samples/old.json", "vit.block_01/c/3/0/0", "vit.block_99/zarr.json", "vit.block_01/c/1/0/1")

    @pytest.fixture
    def littered(self, root: Path) -> Path:
        for key in self.KEYS:
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_text("stray")
        return root

    def test_all_are_listed_and_do_no_harm(self, littered: Path) -> None:
        found = verify(open_cache(littered))
        assert [finding.place for finding in found] == sorted(self.KEYS)
        assert all(finding.harmless and "not a part of the cache" in finding.problem for finding in found)
        assert verify_sample(open_cache(littered), 1).findings == found
        run = foresight("verify", littered)
        assert run.returncode == 0
        assert run.stdout.endswith(f"{littered}: 5 findings, harmless\n")

    def test_beside_damage_they_do_not_hide_it(self, littered: Path) -> None:
        flip(littered / "vit.block_01/c/0/0/0", 0)
        run = foresight("verify", littered)
        assert run.returncode == 1
        assert run.stdout.endswith(f"{littered}: 7 findings\n")

    def test_a_commit_of_a_shard_that_the_root_does_not_list_is_no_stray(self, root: Path) -> None:
        """The root has been replaced by an older one, or the commit has gone astray: either is worth a look."""
        (root / "samples/000007.json").write_bytes((root / "samples/000001.json").read_bytes())
        (finding,) = verify(open_cache(root))
        assert not finding.harmless
        assert finding.place == "samples/000007.json"
        assert "is of shard 1, not of this one" in finding.problem

    def test_what_a_killed_process_left(self, root: Path) -> None:
        partial = root / "samples/.partial"
        (partial / "000001").mkdir(parents=True)
        (partial / "000001.lock").touch()
        (partial / "000001/pixels").write_bytes(b"half")
        found = verify(open_cache(root))
        assert [finding.place for finding in found] == [
            *("samples/.partial/000001.lock", "samples/.partial/000001/pixels"),
        ]
        assert all(finding.harmless and "a killed process left it" in finding.problem for finding in found)
        with CacheWriter(root, open_cache(root).layout):
            pass
        assert verify(open_cache(root)) == []

    def test_what_a_living_process_writes_is_none_and_stays_its_own(self, root: Path) -> None:
        (root / "samples/000001.json").unlink()
        with CacheWriter(root, open_cache(root).layout) as writer:
            pending = next(writer.pending(("vit.block_01",)))
            with writer.shard(pending):
                (scratch,) = (root / "samples/.partial").glob("000001.*-*")
                assert (scratch / "vit.block_01").exists()
                (finding,) = verify(open_cache(root))
                assert finding.place == "samples/000001.json"
                assert "not committed" in finding.problem
                assert claim(root / "samples/.partial", "000001") is None, "verify took nothing away"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    points = {"vit.block_01": PointLayout.fixed("patch", "float32", 24, 10)}
    planted.write(tmp_path / "C", planted.plan(points), bad=BAD)
    return tmp_path / "C"


def test_the_command_says_how_many_of_how_many(small: Path) -> None:
    run = foresight("verify", small, "--sample", 3)
    assert run.returncode == 0
    assert run.stdout == f"{small}: 3 of 8 samples were read\n{small}: no findings\n"
    flip(small / "vit.block_01/c/0/0/0", 1)
    record = json.loads(foresight("verify", small, "--sample", 8, "--seed", 5, "--json").stdout)
    assert (record["checked"], record["samples"]) == (8, 8)
    assert [finding["harmless"] for finding in record["findings"]] == [False]
    assert foresight("verify", small, "--sample", 8).returncode == 1
    assert foresight("verify", small, "--sample", 0).returncode == 2


def test_metadata_that_is_not_what_was_written_says_what_to_do(small: Path) -> None:
    """Also the longer list of shards of a process that was killed before it came to the arrays."""
    (small / "vit.block_01/zarr.json").write_text("{}")
    (finding,) = verify(open_cache(small))
    assert finding.problem == f"the metadata is not what was written; mend it with 'foresight repair {small}'"
