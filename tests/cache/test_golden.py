"""Caches that an earlier version wrote must open for ever: their bytes are in the repository.

What they hold comes from a formula in `tests/golden/make.py`, which wrote it to `expected.npz` and never read it back.
"""

import json
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from foresight_cache import open_cache
from foresight_cache.errors import BadSample, UnsupportedFormat
from foresight_cache.verify import verify, verify_sample
from tests.support.golden_caches import CACHES, FORMATS, GOLDEN, each_cache, expected

UNFINISHED = {"fixed": [], "ragged": ["llm.layer_01/c/1/0/0"]}
"""Objects of points that were not yet added to a shard when the cache was left."""


def test_there_are_golden_caches_of_each_format() -> None:
    assert [root.parent.name for root in CACHES] == ["format-1"] * 2 + ["format-2"] * 2
    assert [root.name for root in CACHES] == ["fixed", "ragged"] * 2
    assert [open_cache(root).layout.format for root in CACHES] == [1, 1, 2, 2]


@each_cache
def test_the_reader_finds_what_was_written(root: Path) -> None:
    samples, arrays = expected(root)
    cache = open_cache(root)
    assert [row["id"] for row in cache.rows] == [sample["id"] for sample in samples]
    assert [row["status"] for row in cache.rows] == [sample["status"] for sample in samples]
    unfinished = {key.split("/")[0] for key in UNFINISHED[root.name]}
    assert [list(row["frame_indices"]) for row in cache.rows] == [sample["frames"] for sample in samples]
    assert set(cache.arrays) == arrays.keys() - unfinished, "what every shard has"
    assert set(cache.points) == set(cache.arrays) - {"labels"}
    for name in cache.arrays:
        point = cache[name]
        for slot, sample in enumerate(samples):
            if sample["status"] == "bad":
                with pytest.raises(BadSample, match=rf"{sample['id']} is quarantined: the image is damaged: cut off"):
                    point[slot]
                continue
            assert list(point.grid_of(slot)) == sample["grids"].get(point.layout.level, [1, 1, 1])
            np.testing.assert_array_equal(point[slot], arrays[name][slot])
            labelled = point.to_xarray()[slot].values.reshape(-1, point.layout.width)
            assert np.array_equal(labelled[: len(point[slot])], point[slot])
    assert repr(cache)
    assert cache.summary()["model"] == "someone/golden-7b (pretrained weights, bfloat16)"
    assert cache.fingerprint["model"]["prompt"] == "Décris l’image."
    assert cache.samples["annotations"][1]["objects"][0]["category"] == "café"


@each_cache
def test_bare_zarr_finds_what_was_written(root: Path) -> None:
    samples, arrays = expected(root)
    group = zarr.open_group(root, mode="r")
    assert set(group.array_keys()) == arrays.keys()
    for name, slots in arrays.items():
        array = group[name]
        assert isinstance(array, zarr.Array)
        assert array.shape[0] == len(samples)
        for slot, wanted in slots.items():
            if f"{name}/c/{slot // array.shards[0]}/0/0" in UNFINISHED[root.name]:
                continue
            found = np.asarray(array[slot])
            if array.dtype == np.uint16:  # bfloat16: the upper half of a float32
                found = (found.astype(np.uint32) << 16).view(np.float32)
            np.testing.assert_array_equal(found[: len(wanted)], wanted)
            assert not found[len(wanted) :].any()


@each_cache
def test_every_byte_is_as_it_was(root: Path) -> None:
    found = verify(open_cache(root))
    assert [finding.place for finding in found] == UNFINISHED[root.name]
    assert all("the point is not committed" in finding.problem for finding in found)
    assert verify_sample(open_cache(root), 100).findings == found


@each_cache
def test_damage_is_found_at_every_point(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "C")
    hit = sorted(path for path in (tmp_path / "C").rglob("c/0/0/0"))
    for path in hit:
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)
    for findings in (verify(open_cache(tmp_path / "C")), verify_sample(open_cache(tmp_path / "C"), 100).findings):
        wrong = [finding.place for finding in findings if "missing or fails its checksum" in finding.problem]
        assert sorted(wrong) == [path.relative_to(tmp_path / "C").as_posix() for path in hit]


def test_a_point_that_only_some_shards_have_is_passed_over() -> None:
    cache = open_cache(GOLDEN / "format-1/ragged")
    assert "llm.layer_01" in cache.layout.points
    assert "llm.layer_01" not in cache
    assert not cache.complete


def without_statistics(path: Path) -> Any:
    """A commit without the numbers whose last digit another processor may round otherwise."""
    record = json.loads(path.read_bytes())
    for entry in record["objects"].values():
        del entry["statistics"]
    return {**record, "sha256": None}


@pytest.mark.parametrize("number", [1, 2])
def test_todays_writer_makes_the_same_bytes(tmp_path: Path, number: int) -> None:
    made = runpy.run_path(str(GOLDEN / "make.py"))
    made["main"](tmp_path / "again", made["FORMATS"][number])
    folder = GOLDEN / f"format-{number}"
    for path in folder.rglob("*"):
        again = tmp_path / "again" / path.relative_to(folder)
        if path.parent.name == "samples" and path.name != "zarr.json":
            assert without_statistics(path) == without_statistics(again), path.name
        elif path.is_file() and path.suffix != ".npz":  # which zlib may compress otherwise
            assert path.read_bytes() == again.read_bytes(), path.relative_to(GOLDEN)


def test_golden_caches_are_not_made_twice(tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in GOLDEN.rglob("format-*/**/*")}
    with pytest.raises(SystemExit, match="golden caches are never made again"):
        runpy.run_path(str(GOLDEN / "make.py"), run_name="__main__")
    assert {path: path.stat().st_mtime_ns for path in GOLDEN.rglob("format-*/**/*")} == before


def test_a_cache_of_the_next_format_is_refused(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "format-1/fixed", tmp_path / "C")
    text = (tmp_path / "C/zarr.json").read_text()
    (tmp_path / "C/zarr.json").write_text(text.replace('"format":1', '"format":3'))
    refusal = "has cache format 3; this version of foresight-cache reads formats 1 and 2"
    with pytest.raises(UnsupportedFormat, match=refusal):
        open_cache(tmp_path / "C")


@pytest.mark.parametrize("folder", FORMATS, ids=lambda folder: folder.name)
def test_they_are_small_and_all_in_the_repository(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    tracked = subprocess.run(["git", "ls-files", "--", folder], cwd=folder, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    assert sorted(tracked.stdout.splitlines()) == sorted(path.relative_to(folder).as_posix() for path in files)
