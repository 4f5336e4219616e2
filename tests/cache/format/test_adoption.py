"""An object that another writer has put is taken as it is, if it is whole and of the same samples."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from foresight_cache import open_cache
from foresight_cache.errors import CacheError, CorruptCache
from foresight_cache.format import adoption
from foresight_cache.format.adoption import adopted
from foresight_cache.format.layout import object_key
from foresight_cache.format.shard_object import index_size
from foresight_cache.format.stores import LocalStore
from tests.support import planted


@pytest.fixture(params=["fixed", "ragged"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    ragged = request.param == "ragged"
    planted.write(
        tmp_path / "C", planted.plan(planted.points_of_every_type(ragged=ragged)), ragged=ragged, bad=(1, 4, 5, 6, 7)
    )
    return tmp_path / "C"


def entry(root: Path, point: str, shard: int = 0) -> dict[str, Any]:
    cache = open_cache(root)
    return adopted(LocalStore(root), cache.layout, point, shard, cache.commits[shard].rows)


@pytest.mark.parametrize("block", [1 << 24, 1000, 7])
def test_the_entry_follows_from_the_bytes(root: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that the writer made of the arrays that it was given, also of a shard without a good sample."""
    monkeypatch.setattr(adoption, "_BLOCK", block)
    for shard in range(3):
        committed = json.loads((root / f"samples/{shard:06d}.json").read_bytes())["objects"]
        points = [point for point in committed if block > 7 or point != "pixels"]
        assert {point: entry(root, point, shard) for point in points} == {point: committed[point] for point in points}
        data = (root / object_key("llm.layer_01", shard)).read_bytes()
        assert entry(root, "llm.layer_01", shard)["sha256"] == hashlib.sha256(data).hexdigest()


def test_every_flipped_byte_and_every_cut_is_seen(root: Path) -> None:
    path = root / object_key("llm.layer_01", 0)
    whole = path.read_bytes()
    for place in range(0, len(whole), 101):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        with pytest.raises(CorruptCache):
            entry(root, "llm.layer_01")
        path.write_bytes(whole[:place])
        with pytest.raises(CorruptCache):
            entry(root, "llm.layer_01")
    cache = open_cache(root)
    index = index_size(cache.layout.samples_per_shard * cache.layout.points["llm.layer_01"].chunks_per_sample)
    path.write_bytes(whole[:-index] + b"more" + whole[-index:])
    with pytest.raises(CorruptCache, match="has bytes that are of no sample"):
        entry(root, "llm.layer_01")
    path.unlink()
    with pytest.raises(CorruptCache, match="vanished"):
        entry(root, "llm.layer_01")


@pytest.mark.parametrize("bad", [(), (0, 1), (2,)])
def test_other_samples_are_refused_by_name(root: Path, tmp_path: Path, bad: tuple[int, ...]) -> None:
    cache = open_cache(root)
    ragged = cache["llm.layer_01"].layout.tokens > 6
    planted.write(tmp_path / "other", cache.layout, ragged=ragged, bad=bad)
    path = root / object_key("llm.layer_01", 0)
    path.write_bytes((tmp_path / "other" / object_key("llm.layer_01", 0)).read_bytes())
    with pytest.raises(CacheError, match=r"llm\.layer_01/c/0/0/0 is there without .* other samples") as caught:
        entry(root, "llm.layer_01")
    assert not isinstance(caught.value, CorruptCache), "it is not damaged"
    sample = "planted/train/0000" if bad == (0, 1) else "planted/train/0001"
    assert f"the first one {sample}" in str(caught.value)
