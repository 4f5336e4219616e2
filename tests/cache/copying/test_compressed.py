"""Compressed objects are copied as they are, and never mixed with those of another codec."""

from dataclasses import replace
from pathlib import Path

import pytest

from foresight_cache import open_cache
from foresight_cache.copying.repair import examine, take_out
from foresight_cache.errors import FingerprintMismatch
from foresight_cache.format.layout import PointLayout
from foresight_cache.format.stores import open_writable
from foresight_cache.verify import verify
from tests.support import planted
from tests.support.copied import contents, flip, pull


def points(*codecs: str) -> dict[str, PointLayout]:
    plain = planted.fixed_points().items()
    return {name: replace(point, codec=codec) for (name, point), codec in zip(plain, codecs, strict=True)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    planted.write(tmp_path / "SRC", planted.plan(points("small", "zstd", "none")), bad=(1,))
    return tmp_path / "SRC"


def test_copies_are_what_a_writer_makes(source: Path, tmp_path: Path) -> None:
    for name, kept in (("vit.*", "vit.block_01"), ("llm.*", "llm.layer_01"), ("pixels", "pixels")):
        pull(source, tmp_path / name, name)
        few = {key: point for key, point in points("small", "zstd", "none").items() if key in (kept, "pixels")}
        planted.write(tmp_path / f"{name}-written", planted.plan(few), bad=(1,))
        assert contents(tmp_path / name) == contents(tmp_path / f"{name}-written")
    assert '"format":1' in (tmp_path / "pixels/zarr.json").read_text(), "nothing of it is compressed"


def test_another_codec_is_another_cache(source: Path, tmp_path: Path) -> None:
    planted.write(tmp_path / "C", planted.plan(points("lz4", "zstd", "none")), bad=(1,))
    with pytest.raises(FingerprintMismatch, match=r"with another vit.block_01.codec; name another folder"):
        pull(source, tmp_path / "C")


def test_damage_is_mended(source: Path, tmp_path: Path) -> None:
    pull(source, tmp_path / "C")
    for key in ("vit.block_01/c/0/0/0", "llm.layer_01/c/1/0/0"):
        flip(tmp_path / "C" / key, 40)
    (tmp_path / "C/samples/000001.json").unlink()
    assert examine(open_writable(tmp_path / "C"), open_cache(source), verify).run() == []
    assert contents(tmp_path / "C") == contents(source)
    flip(tmp_path / "C/vit.block_01/c/0/0/0", 40)
    assert take_out(open_writable(tmp_path / "C"), verify) == ["vit.block_01/c/0/0/0"]
    planted.write(tmp_path / "C", planted.plan(points("small", "zstd", "none")), bad=(1,))
    assert contents(tmp_path / "C") == contents(source)
