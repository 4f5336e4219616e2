"""No flipped bit goes unseen: by `verify` anywhere, by a read where it hit data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foresight_cache import Cache, open_cache
from foresight_cache.errors import CacheError
from foresight_cache.format.codecs import CodecName
from foresight_cache.format.layout import PointLayout
from foresight_cache.verify import verify
from tests.support import planted

FLIPS = 500
"""Flipped bits of each cache."""


def found_by_verify(root: Path) -> bool:
    try:
        return bool(verify(open_cache(root)))
    except CacheError:
        return True


def read_all(cache: Cache) -> None:
    for name in cache.points:
        for tokens in cache[name].each(bad="skip"):
            assert tokens.dtype == np.float32


def found_by_reading(root: Path) -> bool:
    try:
        read_all(open_cache(root))
    except CacheError:
        return True
    return False


@pytest.mark.parametrize(
    ("ragged", "codecs"),
    [(False, ("none", "none")), (True, ("none", "none")), (False, ("lz4", "small")), (True, ("zstd", "lz4"))],
    ids=["fixed", "ragged", "fixed and compressed", "ragged and compressed"],
)
def test_every_flipped_bit_is_found(tmp_path: Path, ragged: bool, codecs: tuple[CodecName, CodecName]) -> None:
    make = PointLayout.ragged if ragged else PointLayout.fixed
    points = {
        "vit.block_01": make("patch", "bfloat16", 80 if ragged else 24, 10),
        "llm.layer_01": make("merged", "float32", 20 if ragged else 6, 12),
    }
    points = {name: replace(point, codec=codec) for (name, point), codec in zip(points.items(), codecs, strict=True)}
    planted.write(tmp_path / "C", planted.plan(points), ragged=ragged, bad=(3,))
    files = sorted(path for path in (tmp_path / "C").rglob("*") if path.is_file())
    ends = np.cumsum([path.stat().st_size for path in files])
    hits = {"data": 0, "commits": 0, "metadata": 0}
    generator = np.random.default_rng(7)
    for bit in generator.integers(0, 8 * ends[-1], FLIPS):
        path = files[int(np.searchsorted(ends, bit // 8, side="right"))]
        whole = path.read_bytes()
        data = bytearray(whole)
        data[(bit // 8) % len(whole)] ^= 1 << int(bit % 8)
        path.write_bytes(data)
        key = str(path.relative_to(tmp_path / "C"))
        kind = "data" if "/c/" in key else "commits" if key.startswith("samples/0") else "metadata"
        hits[kind] += 1
        assert found_by_verify(tmp_path / "C"), f"bit {bit % 8} of byte {(bit // 8) % len(whole)} of {key}"
        if kind != "metadata":
            assert found_by_reading(tmp_path / "C"), f"read as good: {key}"
        path.write_bytes(whole)
    print(hits)
    assert all(hits.values())
    assert not found_by_verify(tmp_path / "C"), "the undamaged cache has no findings"
    assert not found_by_reading(tmp_path / "C")
