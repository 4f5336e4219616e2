"""Extraction with codecs as a user asks for them: the same numbers as without, whoever computes and adds what."""

from pathlib import Path

import pytest

from foresight_cache import open_cache
from tests.support.command import foresight, said, with_options
from tests.support.killed_recoding import contents

USUAL = ("--model", "tiny:qwen2_5_vl", "--size", "112", "--points", "E1,E5", "--out")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of four synthetic scenes."""
    out = tmp_path_factory.mktemp("scenes") / "S"
    assert foresight("prepare", "shapes", "--limit", 12, "--samples-per-shard", 4, "--out", out).returncode == 0
    return out


@pytest.fixture(scope="module")
def plain(scenes: Path) -> Path:
    done = foresight(*extract(scenes, out := scenes.parent / "plain"))
    assert done.returncode == 0, done.stderr
    return out


def extract(shards: Path, out: Path, *more: object) -> list[object]:
    return with_options(["extract", shards, *USUAL, out], more)


def codecs(root: Path) -> dict[str, str]:
    return {name: point.codec for name, point in open_cache(root).layout.points.items()}


@pytest.mark.parametrize("codec", ["lz4", "zstd", "small,pixels=none"])
def test_an_extraction_is_what_a_recoded_one_is(scenes: Path, plain: Path, tmp_path: Path, codec: str) -> None:
    assert foresight(*extract(scenes, tmp_path / "C", "--codec", codec)).returncode == 0
    assert foresight("recode", plain, "--codec", codec, "--out", tmp_path / "D").returncode == 0
    assert contents(tmp_path / "C") == contents(tmp_path / "D")
    assert foresight("recode", tmp_path / "C", "--codec", "none", "--out", tmp_path / "E").returncode == 0
    assert contents(tmp_path / "E") == contents(plain)
    assert open_cache(tmp_path / "C").size < 0.95 * open_cache(plain).size
    assert foresight("verify", tmp_path / "C").returncode == 0


def test_bytes_do_not_depend_on_the_number_of_workers(scenes: Path, tmp_path: Path) -> None:
    for workers in (1, 4):
        done = foresight(*extract(scenes, tmp_path / f"C{workers}", "--codec", "small", "--workers", workers))
        assert done.returncode == 0
    assert contents(tmp_path / "C1") == contents(tmp_path / "C4")


def test_points_that_are_added_have_a_codec_of_their_own(scenes: Path, plain: Path, tmp_path: Path) -> None:
    """Pixels, which nobody names, are no reason to refuse it."""
    assert foresight(*extract(scenes, tmp_path / "C", "--points", "E5")).returncode == 0
    assert foresight(*extract(scenes, tmp_path / "C", "--points", "E1", "--codec", "lz4")).returncode == 0
    assert codecs(tmp_path / "C") == {"vit.patch_embed": "lz4", "vit.post_merge": "none", "pixels": "none"}
    before = contents(tmp_path / "C")
    again = foresight(*extract(scenes, tmp_path / "C"))
    assert again.returncode == 0, "what is there keeps its codec"
    assert contents(tmp_path / "C") == before
    assert foresight("recode", tmp_path / "C", "--codec", "none", "--out", tmp_path / "D").returncode == 0
    assert contents(tmp_path / "D") == contents(plain)


def test_another_codec_for_what_is_there_is_refused(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "C"
    assert foresight(*extract(scenes, out, "--codec", "lz4")).returncode == 0
    before = contents(out)
    for codec, name, asked in (
        ("zstd", "vit.patch_embed", "zstd"),
        ("lz4,vit.post_merge=none", "vit.post_merge", "none"),
        ("pixels=small", "pixels", "small"),
    ):
        assert said(*extract(scenes, out, "--codec", codec), status=1) == (
            f"foresight: {name} of {out} has the codec lz4, and {asked} was asked for; what is there keeps its codec "
            f"without --codec, or is written anew by: foresight recode {out} --codec {asked} --out DIR\n"
        )
    assert contents(out) == before


def test_codecs_and_points_that_are_not_known(scenes: Path, tmp_path: Path) -> None:
    for codec, refusal in {
        "lz5": "unknown codec 'lz5'; did you mean 'lz4'",
        "lz4,pixel=none": "unknown point in --codec 'pixel'; did you mean 'pixels'",
        "lz4,zstd": "--codec is 'lz4,zstd', which names two codecs for all points",
        "lz4,,": "which has an empty element",
        "=lz4": "unknown point in --codec ''",
    }.items():
        assert refusal in said(*extract(scenes, tmp_path / "C", "--codec", codec), status=2)
    assert not (tmp_path / "C").exists()
