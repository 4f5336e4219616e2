"""A cache written anew with other codecs: the same numbers, and back again the same bytes."""

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foresight_cache import Cache, open_cache
from foresight_cache.errors import CacheError, CorruptCache, FingerprintMismatch, UnknownName, UsageError
from foresight_cache.format.codec_choice import CodecChoice
from foresight_cache.format.codecs import CODECS, Blosc, CodecName
from foresight_cache.format.commits import Commit
from foresight_cache.format.shard_object import checksum, index_size
from foresight_cache.rewriting.recoding import recode
from foresight_cache.verify import verify
from foresight_cache.writer import CacheWriter
from tests.support import planted
from tests.support.command import foresight, said
from tests.support.golden_caches import each_cache
from tests.support.killed_recoding import contents

each_codec = pytest.mark.parametrize("codec", CODECS[1:])


@pytest.fixture(params=[False, True], ids=["fixed", "ragged"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Ten samples in three shards, one of them quarantined, at points of every type of numbers."""
    ragged = request.param
    points = planted.points_of_every_type(ragged=ragged)
    planted.write(tmp_path / "C", planted.plan(points), ragged=ragged, bad=(5,))
    return tmp_path / "C"


def assert_same_numbers(first: Cache, second: Cache) -> None:
    assert first.arrays == second.arrays
    assert first.rows == second.rows
    for name in first.arrays:
        for slot, row in enumerate(first.rows):
            if row["status"] == "ok":
                assert first[name].stored(slot).tobytes() == second[name].stored(slot).tobytes()


@each_codec
def test_numbers_are_the_same_and_back_again_so_are_the_bytes(root: Path, tmp_path: Path, codec: CodecName) -> None:
    recode(open_cache(root), CodecChoice(usual=codec), tmp_path / "D")
    recoded = open_cache(tmp_path / "D")
    assert {point.codec for point in recoded.layout.points.values()} == {codec}
    assert verify(recoded) == []
    assert_same_numbers(open_cache(root), recoded)
    assert recoded.digest == open_cache(root).digest
    recode(recoded, CodecChoice(usual="none"), tmp_path / "E")
    assert contents(tmp_path / "E") == contents(root)


@each_cache
def test_golden_caches_become_what_they_are_without_a_codec(root: Path, tmp_path: Path) -> None:
    """Both formats hold the same; a point that one shard lacks is lacking in the copy, too."""
    recode(open_cache(root), CodecChoice(usual="none"), tmp_path / "C")
    first = root.parents[1] / "format-1" / root.name
    assert contents(tmp_path / "C") == contents(first)


def test_points_that_are_not_named_keep_their_codec_and_chunks_their_order(root: Path, tmp_path: Path) -> None:
    recode(open_cache(root), CodecChoice.parse("lz4,pixels=none"), tmp_path / "D")
    recode(open_cache(tmp_path / "D"), CodecChoice.parse("vit.block_02=small"), tmp_path / "E")
    codecs = {name: point.codec for name, point in open_cache(tmp_path / "E").layout.points.items()}
    assert codecs == {"vit.block_01": "lz4", "vit.block_02": "small", "llm.layer_01": "lz4", "pixels": "none"}
    assert (tmp_path / "E/pixels/c/0/0/0").read_bytes() == (root / "pixels/c/0/0/0").read_bytes()
    assert (tmp_path / "E/vit.block_01/c/0/0/0").read_bytes() == (tmp_path / "D/vit.block_01/c/0/0/0").read_bytes()


def test_what_a_commit_says_is_copied_and_not_computed_again(root: Path, tmp_path: Path) -> None:
    path = root / "samples/000000.json"
    commit = Commit.from_json(path.read_bytes(), "commit")
    told = {"halved": 3, "order": {"raster": 0.5, "windows": 0.25}}
    objects = {name: {**entry, **told} for name, entry in commit.objects.items()}
    path.write_bytes(replace(commit, objects=objects).to_json())
    before = contents(root)
    recode(open_cache(root), CodecChoice(usual="zstd"), tmp_path / "D")
    entry = open_cache(tmp_path / "D").commits[0].objects["vit.block_01"]
    assert {name: entry[name] for name in told} == told
    assert entry["statistics"] == commit.objects["vit.block_01"]["statistics"]
    recode(open_cache(tmp_path / "D"), CodecChoice(usual="none"), tmp_path / "E")
    assert contents(tmp_path / "E") == before


def test_chunks_keep_the_order_of_the_batches(tmp_path: Path) -> None:
    """Samples of one size are computed together, so that chunks stand in another order than samples."""
    plan = planted.plan({"vit.block_01": planted.fixed_points()["vit.block_01"]}, samples=4)
    with CacheWriter(tmp_path / "C", plan) as writer:
        for pending in writer.pending(("vit.block_01",)):
            with writer.shard(pending) as shard:
                for slot in (2, 0, 3, 1):
                    shard.add(slot, "vit.block_01", planted.values(slot, 24, plan.points["vit.block_01"]))
                shard.commit([planted.good(slot, planted.grids(slot, False)) for slot in range(4)])
    recode(open_cache(tmp_path / "C"), CodecChoice(usual="small"), tmp_path / "D")
    data = (tmp_path / "D/vit.block_01/c/0/0/0").read_bytes()
    index = np.frombuffer(data[-index_size(4) : -4], "<u8").reshape(4, 2)
    assert np.argsort(index[:, 0]).tolist() == [2, 0, 3, 1]
    recode(open_cache(tmp_path / "D"), CodecChoice(usual="none"), tmp_path / "E")
    assert contents(tmp_path / "E") == contents(tmp_path / "C")


class TestSources:
    """Any place that can be read."""

    def test_a_zip_file(self, root: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "C.zip", "w") as archive:
            for path in root.rglob("*"):
                archive.write(path, path.relative_to(root))
        recode(open_cache(tmp_path / "C.zip"), CodecChoice(usual="none"), tmp_path / "D")
        assert contents(tmp_path / "D") == contents(root)

    def test_an_object_store(self, root: Path, tmp_path: Path, bucket: str) -> None:
        import boto3

        place = f"{bucket}/recoding/{root.parent.name}"
        client, name = boto3.client("s3"), bucket.removeprefix("s3://")
        for key, data in contents(root).items():
            client.put_object(Bucket=name, Key=f"recoding/{root.parent.name}/{key}", Body=data)
        recode(open_cache(place), CodecChoice(usual="lz4"), tmp_path / "D")
        assert_same_numbers(open_cache(root), open_cache(tmp_path / "D"))
        recode(open_cache(tmp_path / "D"), CodecChoice(usual="none"), tmp_path / "E")
        assert contents(tmp_path / "E") == contents(root)


class TestRefusals:
    def test_the_source_itself_and_what_is_in_it(self, root: Path, tmp_path: Path) -> None:
        before = contents(root)
        (tmp_path / "link").symlink_to(root)
        for out in (root, f"{root}/", root / "inner", tmp_path / "link", root.parent / "x/../C"):
            with pytest.raises(UsageError, match="itself, or in it; name another place"):
                recode(open_cache(root), CodecChoice(usual="lz4"), out)
        assert contents(root) == before
        recode(open_cache(root), CodecChoice(usual="lz4"), tmp_path / "C-lz4")

    def test_a_place_where_a_point_has_another_codec(self, root: Path, tmp_path: Path) -> None:
        recode(open_cache(root), CodecChoice(usual="lz4"), tmp_path / "D")
        before = contents(tmp_path / "D")
        with pytest.raises(FingerprintMismatch) as error:
            recode(open_cache(root), CodecChoice(usual="small"), tmp_path / "D")
        assert str(error.value) == (
            f"vit.block_01 of {tmp_path / 'D'} has the codec lz4, and small was asked for; what is there keeps its "
            f"codec without --codec, or is written anew by: foresight recode {tmp_path / 'D'} --codec small --out DIR"
        )
        assert contents(tmp_path / "D") == before

    def test_a_point_that_is_not_there(self, root: Path, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match="unknown point in --codec 'pixel'; did you mean 'pixels'"):
            recode(open_cache(root), CodecChoice.parse("pixel=lz4"), tmp_path / "D")
        assert not (tmp_path / "D").exists()

    def test_damage_that_a_checksum_tells(self, root: Path, tmp_path: Path) -> None:
        path = root / "llm.layer_01/c/1/0/0"
        data = bytearray(path.read_bytes())
        data[40] ^= 1
        path.write_bytes(data)
        with pytest.raises(CorruptCache, match=r"chunk \d of .*llm.layer_01/c/1/0/0 fails its checksum"):
            recode(open_cache(root), CodecChoice(usual="lz4"), tmp_path / "D")
        assert [commit.shard for commit in open_cache(tmp_path / "D").commits] == [0], "what went before is kept"

    def test_damage_that_only_the_digest_tells(self, root: Path, tmp_path: Path) -> None:
        point = open_cache(root).layout.points["llm.layer_01"]
        path = root / "llm.layer_01/c/0/0/0"
        data = bytearray(path.read_bytes())
        data[40] ^= 1
        data[point.chunk_bytes : point.chunk_bytes + 4] = checksum(data[: point.chunk_bytes])
        path.write_bytes(data)
        with pytest.raises(CorruptCache, match="its SHA-256 is not the committed one"):
            recode(open_cache(root), CodecChoice(usual="lz4"), tmp_path / "D")
        assert open_cache(tmp_path / "D").commits == ()

    def test_a_codec_that_does_not_give_the_numbers_back(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decode = Blosc.decode

        def wrong(codec: Blosc, stored: memoryview, out: memoryview) -> None:
            decode(codec, stored, out)
            out[3] ^= 1

        monkeypatch.setattr(Blosc, "decode", wrong)
        with pytest.raises(CacheError, match="the codec lz4 changed numbers of vit.block_01"):
            recode(open_cache(root), CodecChoice(usual="lz4"), tmp_path / "D")
        assert open_cache(tmp_path / "D").commits == ()


def test_the_command(tmp_path: Path) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.points_of_every_type()))
    done = foresight("recode", tmp_path / "C", "--codec", "small,pixels=lz4", "--out", tmp_path / "D", "--json")
    assert done.returncode == 0, done.stderr
    told = {point["point"]: point for point in json.loads(done.stdout)["points"]}
    assert {name: point["codec"] for name, point in told.items()} == {
        **dict.fromkeys(("vit.block_01", "vit.block_02", "llm.layer_01"), "small"),
        "pixels": "lz4",
    }
    raw = {point: sum(path.stat().st_size for path in (tmp_path / "C" / point).rglob("c/*/0/0")) for point in told}
    assert {name: point["bytes_raw"] for name, point in told.items()} == raw
    again = foresight("recode", tmp_path / "C", "--codec", "small,pixels=lz4", "--out", tmp_path / "D")
    assert again.returncode == 0
    assert f"{raw['pixels'] / 1e6:,.1f} MB, lz4 (1.00 of raw)" in again.stdout, "noise"
    asked = said("recode", tmp_path / "C", "--codec", "", "--out", tmp_path / "E", status=2)
    assert "--codec names no codec, expected one of none, lz4, zstd, small" in asked
    assert "unknown codec 'gzip'" in said(
        "recode", tmp_path / "C", "--codec", "gzip", "--out", tmp_path / "E", status=2
    )
    for text in ("lz4,zstd", "pixels=lz4,pixels=zstd"):
        assert "names two codecs" in said("recode", tmp_path / "C", "--codec", text, "--out", tmp_path / "E", status=2)


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    points = {name: point for name, point in planted.fixed_points().items() if name != "pixels"}
    planted.write(tmp_path / "C", planted.plan(points, samples=48))
    words = [tmp_path / "C", tmp_path / "work", "small", "6", "3"]
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-m", "tests.support.killed_recoding", *map(str, words)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert run.returncode == 0, run.stderr[-3000:]
    done = json.loads(run.stdout)
    print(done)
    assert done["partly committed"] > 0
    whole = tmp_path / "work/whole"
    assert_same_numbers(open_cache(tmp_path / "C"), open_cache(whole))
