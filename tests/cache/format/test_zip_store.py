"""A cache in a zip file, packed as people pack them, against the folder that it was made from."""

import pickle
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from foresight_cache import open_cache
from foresight_cache.errors import CacheError, CorruptCache, NotACache
from foresight_cache.format.stores import zip_store
from foresight_cache.verify import verify, verify_sample
from tests.support import planted
from tests.support.command import foresight

BAD = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    planted.write(tmp_path / "C", planted.plan(planted.points_of_every_type(ragged=True)), ragged=True, bad=(BAD,))
    return tmp_path / "C"


def compressed(folder: Path, place: Path) -> None:
    """As `zip -r cache.zip C` does it."""
    shutil.make_archive(str(place.with_suffix("")), "zip", folder.parent, folder.name)


def without_its_folder(folder: Path, place: Path) -> None:
    shutil.make_archive(str(place.with_suffix("")), "zip", folder)


def stored(folder: Path, place: Path, method: int = zipfile.ZIP_STORED) -> None:
    """As `zip -0 -r cache.zip C` does it, after something that is not a zip file, as in one that unpacks itself."""
    place.write_bytes(b"#!/bin/sh\n")
    with zipfile.ZipFile(place, "a", method) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))


def by_a_mac(folder: Path, place: Path) -> None:
    stored(folder, place)
    with zipfile.ZipFile(place, "a") as archive:
        archive.writestr("__MACOSX/C/._zarr.json", b"\x00\x05\x16\x07")


def by_zarr(folder: Path, place: Path) -> None:
    """As a store of zarr's, which may write a name twice; the last one counts."""
    store = zarr.storage.ZipStore(place, mode="w")
    store._sync_open()
    for path in (path for path in folder.rglob("*") if path.is_file()):
        key = path.relative_to(folder).as_posix()
        store._zf.writestr(key, path.read_bytes())
    store.close()


WAYS = [compressed, without_its_folder, stored, by_a_mac, by_zarr]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
Way = Callable[[Path, Path], None]


@ways
def test_it_reads_as_the_folder_does(folder: Path, tmp_path: Path, way: Way) -> None:
    way(folder, place := tmp_path / "cache.zip")
    zipped = open_cache(place)
    shutil.move(folder, tmp_path / "moved")  # so that nothing but the zip file can be read for it
    local = open_cache(tmp_path / "moved")
    assert zipped.samples.equals(local.samples)
    for point in local.points:
        for index in (0, 1, 5, 9):
            np.testing.assert_array_equal(zipped[point].stored(index), local[point].stored(index))
            out = np.empty_like(zipped[point].stored(index))
            zipped[point].stored_into(index, out)
            np.testing.assert_array_equal(out, local[point].stored(index))
    assert zipped["pixels"].grid(5).shape == (1, *local.rows[5]["grid_pixel"][1:], 3)
    assert verify(zipped) == []
    assert verify_sample(zipped, 4).findings == []


@ways
def test_views_and_other_processes_get_the_same(folder: Path, tmp_path: Path, way: Way) -> None:
    way(folder, place := tmp_path / "cache.zip")
    expected = open_cache(folder)["vit.block_01"][5]
    np.testing.assert_array_equal(
        xr.open_dataset(place, engine="foresight")["vit.block_01"][5][: len(expected)], expected
    )
    sent = pickle.loads(pickle.dumps(open_cache(place)["vit.block_01"]))  # noqa: S301 - its own bytes
    np.testing.assert_array_equal(sent[5], expected)
    zarrs = open_cache(place).zarr["vit.block_01"][5][: len(expected)]
    np.testing.assert_array_equal(zarrs, open_cache(folder)["vit.block_01"].stored(5).view(np.uint16))


def test_commands_take_it(folder: Path, tmp_path: Path) -> None:
    compressed(folder, tmp_path / "cache.zip")
    assert "10 of 10, 1 of them bad" in foresight("inspect", tmp_path / "cache.zip").stdout
    assert foresight("verify", tmp_path / "cache.zip").returncode == 0


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_flipped_bits_are_never_read_as_good(folder: Path, tmp_path: Path, method: int) -> None:
    stored(folder, place := tmp_path / "cache.zip", method)
    with zipfile.ZipFile(place) as archive:
        entry = archive.getinfo("C/pixels/c/1/0/0")
    whole, generator = place.read_bytes(), np.random.default_rng(0)
    truth = {index: open_cache(place)["pixels"].stored(index) for index in range(4, 8)}
    found = 0
    for position in generator.integers(entry.header_offset + 46, entry.header_offset + entry.compress_size, 12):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(generator.integers(8))
        place.write_bytes(damaged)
        for index, expected in truth.items():
            try:
                np.testing.assert_array_equal(open_cache(place)["pixels"].stored(index), expected)
            except CorruptCache:
                found += 1
    assert found >= 6


class TestOneSentence:
    def test_a_file_that_was_not_copied_whole(self, folder: Path, tmp_path: Path) -> None:
        compressed(folder, place := tmp_path / "cache.zip")
        place.write_bytes(place.read_bytes()[:-30])
        with pytest.raises(NotACache, match=r"cache\.zip is no zip file, or not a whole one: .*; copy it again$"):
            open_cache(place)

    def test_several_caches(self, folder: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(place := tmp_path / "two.zip", "w") as archive:
            for name in ("A", "B"):
                archive.write(folder / "zarr.json", f"{name}/zarr.json")
        with pytest.raises(NotACache, match=r"two\.zip holds 2 stores \(A/, B/\), expected one cache; unpack it"):
            open_cache(place)

    def test_no_cache(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(place := tmp_path / "other.zip", "w") as archive:
            archive.writestr("notes.txt", "mine")
        with pytest.raises(NotACache, match=r"other\.zip holds no cache: it has no zarr\.json"):
            open_cache(place)

    def test_an_object_that_is_too_large_to_unpack(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compressed(folder, tmp_path / "cache.zip")
        stored(folder, tmp_path / "stored.zip")
        monkeypatch.setattr(zip_store, "_LARGEST", 4000)
        with pytest.raises(
            CacheError, match=r"is compressed and has .* no sample of it can be read alone; .*zip -0 -r"
        ):
            open_cache(tmp_path / "cache.zip")["pixels"][0]
        assert open_cache(tmp_path / "stored.zip")["pixels"][0].size

    def test_a_zip_file_is_only_read(self, folder: Path, tmp_path: Path) -> None:
        compressed(folder, place := tmp_path / "cache.zip")
        before = place.read_bytes()
        told = foresight("extract", tmp_path, "--model", "tiny:dinov2", "--points", "E1", "--out", place)
        assert told.returncode not in (0, 70)
        assert "Traceback" not in told.stderr
        assert place.read_bytes() == before


@pytest.mark.skipif(shutil.which("zip") is None, reason="there is no zip here")
@pytest.mark.parametrize("level", ["-0", "-9"])
def test_made_by_zip_itself(folder: Path, tmp_path: Path, level: str) -> None:
    subprocess.run(["zip", "-q", level, "-r", "cache.zip", "C"], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(
        open_cache(tmp_path / "cache.zip")["llm.layer_01"][7], open_cache(folder)["llm.layer_01"][7]
    )
