"""Compressed chunks: the same numbers through every door, and bytes that Zarr and numcodecs decode by themselves."""

import json
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import google_crc32c
import ml_dtypes
import numpy as np
import pytest
import zarr
from numcodecs import blosc

from foresight_cache import Cache, open_cache
from foresight_cache.errors import CorruptCache, FingerprintMismatch, UnsupportedFormat
from foresight_cache.format.codecs import CODECS, MOST_BYTES, SETTINGS, Blosc, CodecName, chunk_codec
from foresight_cache.format.layout import PointLayout
from foresight_cache.format.metadata import metadata, read_root
from foresight_cache.format.stores import LocalStore
from foresight_cache.records import canonical_json, with_digest
from foresight_cache.verify import verify, verify_sample
from foresight_cache.writer import CacheWriter
from tests.support import planted

COMPRESSED = CODECS[1:]
each_codec = pytest.mark.parametrize("codec", COMPRESSED)
each_shape = pytest.mark.parametrize("ragged", [False, True], ids=["fixed", "ragged"])


def points_of(codec: CodecName, ragged: bool) -> dict[str, PointLayout]:
    """Returns points of every type of numbers; where sizes differ, the samples have up to five chunks."""
    points = planted.compressed(planted.points_of_every_type(ragged=ragged), codec)
    if not ragged:
        return points
    sizes = {"patch": (16, 96), "merged": (4, 24), "pixel": (4000, 60_000)}
    return {
        name: replace(point, tokens_per_chunk=sizes[point.level][0], tokens=sizes[point.level][1])
        for name, point in points.items()
    }


def written(root: Path, codec: CodecName, *, ragged: bool = False) -> Cache:
    points = points_of(codec, ragged)
    planted.write(root, planted.plan(points), ragged=ragged, bad=(2,))
    return open_cache(root)


def truth(cache: Cache, name: str, slot: int) -> np.ndarray:
    layout = cache.layout.points[name]
    return planted.values(slot, cache[name].grid_of(slot).tokens, layout)


def good(cache: Cache) -> list[int]:
    return [slot for slot, row in enumerate(cache.rows) if row["status"] == "ok"]


@each_codec
@each_shape
def test_bare_zarr_reads_the_numbers(tmp_path: Path, codec: CodecName, ragged: bool) -> None:
    cache = written(tmp_path / "C", codec, ragged=ragged)
    group = zarr.open_group(tmp_path / "C", mode="r")
    for name in cache.points:
        array = group[name]
        assert isinstance(array, zarr.Array)
        for slot in range(len(cache)):
            found = np.asarray(array[slot])
            if slot == 2:
                assert not found.any()
                continue
            expected = truth(cache, name, slot)
            assert found[: len(expected)].tobytes() == expected.tobytes()
            assert not found[len(expected) :].any()


@each_codec
@each_shape
def test_every_door_gives_what_was_written(tmp_path: Path, codec: CodecName, ragged: bool) -> None:
    cache = written(tmp_path / "C", codec, ragged=ragged)
    for name in cache.points:
        point = cache[name]
        for slot in good(cache):
            expected = truth(cache, name, slot)
            assert point.stored(slot).tobytes() == expected.tobytes()
            np.testing.assert_array_equal(point[slot], expected.astype(np.float32))
            for check in (True, False):
                out = np.zeros_like(expected)
                point.stored_into(slot, out, check=check)
                assert out.tobytes() == expected.tobytes()
            assert point.zarr[slot, : len(expected)].tobytes() == expected.tobytes()
            labelled = point.to_xarray()[slot].values.reshape(-1, point.layout.width)
            np.testing.assert_array_equal(labelled[: len(expected)], point[slot])
    assert verify(cache) == []
    assert verify_sample(cache, 100).findings == []


@each_codec
def test_numcodecs_decodes_each_chunk_and_the_checksum_is_of_what_is_stored(tmp_path: Path, codec: CodecName) -> None:
    cache = written(tmp_path / "C", codec, ragged=True)
    decoded = 0
    for name, layout in cache.layout.points.items():
        data = (tmp_path / "C" / name / "c/0/0/0").read_bytes()
        count = planted.SAMPLES_PER_SHARD * layout.chunks_per_sample
        index = struct.unpack_from(f"<{2 * count}Q", data, len(data) - 4 - 16 * count)
        first = [number for number in range(count) if index[2 * number] == 0]
        for offset, length in zip(index[::2], index[1::2], strict=True):
            if offset == 2**64 - 1:
                continue
            stored = data[offset : offset + length - 4]
            assert struct.pack("<I", google_crc32c.value(stored)) == data[offset + length - 4 : offset + length]
            assert blosc.cbuffer_complib(stored) == {"lz4": "LZ4", "zstd": "Zstd", "small": "Zstd"}[codec]
            assert len(blosc.decompress(stored)) == layout.chunk_bytes
            decoded += 1
        tokens = truth(cache, name, 0)[: layout.tokens_per_chunk]
        stored = data[: index[2 * first[0] + 1] - 4]
        assert blosc.decompress(stored)[: tokens.nbytes] == tokens.tobytes()
    assert decoded > 8


@each_codec
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "uint8"])
def test_arrays_have_the_metadata_that_zarr_writes(codec: CodecName, dtype: Any) -> None:
    from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec
    from zarr.core.metadata.v3 import ArrayV3Metadata

    plan = planted.plan({"vit.block_01": replace(PointLayout.fixed("patch", dtype, 24, 10), codec=codec)})
    inner = ArrayV3Metadata.from_dict(json.loads(metadata(plan)["vit.block_01/zarr.json"])).codecs[0].codecs  # type: ignore[attr-defined]
    settings, item = SETTINGS[codec], {"bfloat16": 2, "float32": 4, "uint8": 1}[dtype]
    assert inner == (
        BytesCodec(endian=None if item == 1 else "little"),
        BloscCodec(
            typesize=item,
            cname=settings.compressor,  # type: ignore[arg-type]
            clevel=settings.level_of_few,
            shuffle=settings.shuffle,  # type: ignore[arg-type]
            blocksize=settings.block,
        ),
        Crc32cCodec(),
    )


@each_codec
def test_bytes_do_not_depend_on_threads(codec: CodecName, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0).normal(size=600_000).astype(ml_dtypes.bfloat16).view(np.uint16)
    chunk = chunk_codec(codec, 2, numbers.nbytes)
    one = bytes(chunk.encode(numbers))
    before = blosc.set_nthreads(4)
    try:
        monkeypatch.setattr(blosc, "use_threads", True)  # as a program may have set it
        with ThreadPoolExecutor(4) as threads:
            assert {bytes(data) for data in threads.map(chunk.encode, [numbers] * 8)} == {one}
        assert bytes(chunk.encode(numbers)) == one
    finally:
        blosc.set_nthreads(before)


def test_real_numbers_become_smaller_and_noise_hardly_larger() -> None:
    smooth = np.random.default_rng(0).normal(size=400_000).astype(ml_dtypes.bfloat16).view(np.uint16)
    noise = np.random.default_rng(0).integers(0, 2**16, 400_000, dtype=np.uint16)
    for codec in COMPRESSED:
        chunk = chunk_codec(codec, 2, smooth.nbytes)
        assert len(chunk.encode(smooth)) < 0.85 * smooth.nbytes
        assert noise.nbytes < len(chunk.encode(noise)) <= chunk.longest == noise.nbytes + 16


class TestMixedCodecs:
    def test_points_of_one_cache_have_codecs_of_their_own(self, tmp_path: Path) -> None:
        points = planted.points_of_every_type()
        chosen: dict[str, CodecName] = dict(zip(points, CODECS, strict=True))
        mixed = {name: replace(point, codec=chosen[name]) for name, point in points.items()}
        planted.write(tmp_path / "C", planted.plan(mixed))
        cache = open_cache(tmp_path / "C")
        assert {name: point.codec for name, point in cache.layout.points.items()} == chosen
        for name in cache.points:
            for slot in range(len(cache)):
                assert cache[name].stored(slot).tobytes() == truth(cache, name, slot).tobytes()

    def test_a_point_that_is_added_makes_format_2_and_leaves_the_others_alone(self, tmp_path: Path) -> None:
        points = planted.fixed_points()
        first = {name: points[name] for name in ("vit.block_01", "pixels")}
        planted.write(tmp_path / "C", planted.plan(first))
        before = {path: path.read_bytes() for path in (tmp_path / "C").rglob("c/*/0/0")}
        assert open_cache(tmp_path / "C").layout.format == 1
        more = {**first, "llm.layer_01": replace(points["llm.layer_01"], codec="lz4")}
        planted.write(tmp_path / "C", planted.plan(more))
        cache = open_cache(tmp_path / "C")
        assert cache.layout.format == 2
        assert [point.codec for point in cache.layout.points.values()] == ["none", "lz4", "none"]
        assert {path: path.read_bytes() for path in before} == before
        assert verify(cache) == []
        planted.write(tmp_path / "D", planted.plan({name: more[name] for name in cache.layout.points}))
        assert contents(tmp_path / "C") == contents(tmp_path / "D"), "the bytes of one run that asked for all at once"

    def test_without_a_codec_nothing_is_said_of_any(self, tmp_path: Path) -> None:
        planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
        text = (tmp_path / "C/zarr.json").read_text()
        assert '"format":1' in text
        assert "codec" not in text


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and ".partial" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


class _Counted(LocalStore):
    """A folder that counts its reads of objects, but not of their indexes."""

    reads = 0

    def ranges(self, key: str) -> Any:
        size, read = super().ranges(key)

        def counted(start: int, stop: int) -> bytes:
            self.reads += stop < size
            return read(start, stop)  # type: ignore[no-any-return]

        return size, counted

    def fill(self, key: str, start: int, buffers: Any) -> int:
        self.reads += 1
        return super().fill(key, start, buffers)


@pytest.mark.parametrize("codec", CODECS)
@each_shape
def test_neighbouring_chunks_are_read_at_once(tmp_path: Path, codec: CodecName, ragged: bool) -> None:
    planted.write(tmp_path / "C", planted.plan(points_of(codec, ragged), samples=8), ragged=ragged)
    store = _Counted(tmp_path / "C")
    cache = Cache(store)
    if ragged:
        point = cache["pixels"]
        assert point.grid_of(5).tokens > 3 * point.layout.tokens_per_chunk
        out = np.zeros((point.grid_of(5).tokens, 3), np.uint8)
        point.stored_into(5, out)
        np.testing.assert_array_equal(point.stored(5), out)
        assert store.reads == 2
        return
    everything = cache["vit.block_01"][:]
    assert store.reads == 2, "one of each shard"
    np.testing.assert_array_equal(everything[5], cache["vit.block_01"][5])
    np.testing.assert_array_equal(cache["vit.block_01"][[5, 1, 0, 7]], everything[[5, 1, 0, 7]])


class TestRefusals:
    """Metadata that this version cannot read, and chunks that are none."""

    def seal(self, root: Path, **point: object) -> None:
        record = json.loads((root / "zarr.json").read_bytes())
        ours = {name: value for name, value in record["attributes"]["foresight"].items() if name != "sha256"}
        ours["points"][0] |= point
        record["attributes"]["foresight"] = with_digest(ours)
        (root / "zarr.json").write_bytes(canonical_json(record))

    def test_a_codec_of_a_newer_version(self, tmp_path: Path) -> None:
        written(tmp_path / "C", "lz4")
        self.seal(tmp_path / "C", codec="pcodec")
        with pytest.raises(UnsupportedFormat) as error:
            open_cache(tmp_path / "C")
        assert str(error.value) == (
            f"{tmp_path / 'C'} has the codec 'pcodec' at the point 'vit.block_01', and this version of foresight-cache "
            "reads none, lz4, zstd, small; use the version that wrote it, also to 'foresight recode' it"
        )

    @pytest.mark.parametrize("codec", [None, 3, ["lz4"], {"cname": "zstd"}, ""])
    def test_what_is_no_name_of_a_codec(self, tmp_path: Path, codec: object) -> None:
        written(tmp_path / "C", "lz4")
        self.seal(tmp_path / "C", codec=codec)
        with pytest.raises(CorruptCache, match="codec is .*, expected a text"):
            open_cache(tmp_path / "C")

    def test_format_2_without_a_codec(self, tmp_path: Path) -> None:
        plan = planted.plan(planted.compressed({"vit.block_01": planted.fixed_points()["vit.block_01"]}, "lz4"))
        planted.write(tmp_path / "C", plan)
        self.seal(tmp_path / "C", codec="none")
        with pytest.raises(CorruptCache, match="no point has a codec"):
            open_cache(tmp_path / "C")

    def test_format_1_with_a_codec(self, tmp_path: Path) -> None:
        planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
        self.seal(tmp_path / "C", codec="lz4")
        with pytest.raises(CorruptCache, match="unknown field 'codec'"):
            open_cache(tmp_path / "C")

    def test_chunks_that_blosc_cannot_hold(self) -> None:
        point = replace(PointLayout.fixed("patch", "float32", MOST_BYTES // 4 + 1, 1), codec="lz4")
        with pytest.raises(CorruptCache, match="too many for its codec"):
            read_root(metadata(planted.plan({"vit.block_01": point}))["zarr.json"], "C")

    def test_other_metadata_of_the_array_is_found(self, tmp_path: Path) -> None:
        """Our reader goes by the root; other programs go by the array, so that it must say the same."""
        written(tmp_path / "C", "lz4")
        path = tmp_path / "C/vit.block_01/zarr.json"
        path.write_text(path.read_text().replace('"clevel":5', '"clevel":6'))
        assert [finding.place for finding in verify(open_cache(tmp_path / "C"))] == ["vit.block_01/zarr.json"]


def test_a_writer_that_asks_for_another_codec_is_refused(tmp_path: Path) -> None:
    """A point that is there keeps its codec."""
    written(tmp_path / "C", "lz4")
    before = contents(tmp_path / "C")
    with pytest.raises(FingerprintMismatch, match="vit.block_01 of .* has the codec lz4, and none was asked for"):
        CacheWriter(tmp_path / "C", planted.plan(planted.points_of_every_type()))
    assert contents(tmp_path / "C") == before


@each_codec
def test_objects_that_another_version_of_a_compressor_wrote_are_adopted(
    tmp_path: Path, codec: CodecName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same numbers in other bytes, as a killed process of a newer numcodecs leaves them without a commit."""
    plan = planted.plan(planted.compressed(planted.fixed_points(), codec))
    planted.write(tmp_path / "C", plan)
    ours = contents(tmp_path / "C")
    with monkeypatch.context() as patch:
        encode = Blosc.encode
        patch.setattr(Blosc, "encode", lambda chunk, values: encode(other_level(chunk), values))
        planted.write(tmp_path / "D", plan)
    (tmp_path / "D/samples/000001.json").unlink()
    theirs = contents(tmp_path / "D")
    assert theirs["vit.block_01/c/1/0/0"] != ours["vit.block_01/c/1/0/0"]
    planted.write(tmp_path / "D", plan)
    assert {key: contents(tmp_path / "D")[key] for key in theirs} == theirs, "nothing that was there has changed"
    cache = open_cache(tmp_path / "D")
    assert verify(cache) == []
    for name in cache.points:
        assert cache[name].stored(5).tobytes() == truth(cache, name, 5).tobytes()
    entries = (open_cache(tmp_path / place).commits[1].objects["vit.block_01"] for place in "CD")
    assert len({str(entry["statistics"]) for entry in entries}) == 1


def other_level(chunk: Blosc) -> Blosc:
    other = Blosc(chunk.name, chunk.item_size, chunk.size)
    other.level = 9
    return other
