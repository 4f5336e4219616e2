"""Caches go to an object store and come back: a real server on loopback, and boto3 to look at what is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foresight_cache import open_cache
from foresight_cache.copying.moving import planned
from foresight_cache.copying.parts import chosen_part
from foresight_cache.copying.repair import examine, take_out
from foresight_cache.errors import CacheError, FingerprintMismatch
from foresight_cache.format.stores import open_writable, patience
from foresight_cache.verify import verify
from tests.support import buckets, copied, planted
from tests.support.copied import contents, pull
from tests.support.losing_store import LosingStore, losing_store

POINTS = planted.points_of_every_type()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    planted.write(tmp_path / "SRC", planted.plan(POINTS))
    return tmp_path / "SRC"


def push(source: Path | str, url: str, points: str | None = None) -> None:
    cache = open_cache(source)
    planned(cache, open_writable(url), chosen_part(cache, points)).run()


def test_there_and_back(source: Path, tmp_path: Path, bucket: str) -> None:
    url = f"{bucket}/there"
    push(source, url, "llm.*")
    few = {name: point for name, point in POINTS.items() if name in ("llm.layer_01", "pixels")}
    planted.write(tmp_path / "W", planted.plan(few))
    assert buckets.contents(url) == contents(tmp_path / "W")
    push(source, url)
    assert buckets.contents(url) == contents(source)
    push(url, f"{bucket}/copy", "vit.*")
    pull(open_cache(f"{bucket}/copy"), tmp_path / "C")
    pull(open_cache(url), tmp_path / "C")
    assert contents(tmp_path / "C") == contents(source)
    copied.of_other(tmp_path / "OTHER", weights="pretrained")
    with pytest.raises(FingerprintMismatch, match=f"{url} holds another cache than .*OTHER"):
        push(tmp_path / "OTHER", url)


def test_a_damaged_store_is_mended_from_a_folder(source: Path, bucket: str) -> None:
    url = f"{bucket}/damaged"
    buckets.put_folder(source, url)
    whole = buckets.contents(url)
    for key in ("vit.block_01/c/1/0/0", "samples/000002.json", "pixels/zarr.json"):
        buckets.put(f"{url}/{key}", whole[key][:50] + b"?" + whole[key][51:])
    buckets.remove(f"{url}/pixels/c/0/0/0")
    buckets.put(f"{url}/llm.layer_01/c/2/0/0", b"the beginning")
    mending = examine(open_writable(url), open_cache(source), verify)
    assert mending.lacks == 4, "what lies in a shard without a commit is part of that"
    assert mending.run() == []
    assert buckets.contents(url) == whole


def test_what_is_taken_out_of_a_store_can_be_made_again(source: Path, bucket: str) -> None:
    url = f"{bucket}/taken"
    buckets.put_folder(source, url)
    whole = buckets.contents(url)
    for key in ("vit.block_01/c/1/0/0", "samples/000002.json"):
        buckets.put(f"{url}/{key}", whole[key][:50] + b"?" + whole[key][51:])
    assert take_out(open_writable(url), verify) == ["samples/000002.json", "vit.block_01/c/1/0/0"]
    assert buckets.contents(url).keys() == whole.keys() - {"vit.block_01/c/1/0/0", "samples/000002.json"}
    push(source, url)
    assert buckets.contents(url) == whole
    assert verify(open_cache(url)) == []


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Iterator[LosingStore]:
    monkeypatch.setenv("FORESIGHT_RETRY_SECONDS", "20")
    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.1))
    with losing_store(monkeypatch, silence=1.0) as store:
        yield store


def test_a_store_that_loses_answers(source: Path, tmp_path: Path, losing: LosingStore) -> None:
    losing.sometimes(0.2)
    push(source, "s3://features/C")
    assert {key.removeprefix("C/"): stored.data for key, stored in losing.objects.items()} == contents(source)
    pull(open_cache("s3://features/C"), tmp_path / "C")
    assert contents(tmp_path / "C") == contents(source)
    assert sum(losing.done.values()) > 10


def test_a_store_that_refuses_from_some_point_on(source: Path, tmp_path: Path, losing: LosingStore) -> None:
    push(source, "s3://features/C")
    for refused_after in (1, 10, 25):
        last = len(losing.requests) + refused_after
        losing.fault = lambda _, last=last: "403" if len(losing.requests) > last else None
        with pytest.raises(CacheError, match="s3://features/C"):
            pull(open_cache("s3://features/C"), tmp_path / "C")
        assert not (tmp_path / "C/samples/.partial").exists()
    losing.fault = lambda _: None
    pull(open_cache("s3://features/C"), tmp_path / "C")
    assert contents(tmp_path / "C") == contents(source)


def test_a_store_without_conditional_writes_is_refused(source: Path, losing: LosingStore) -> None:
    losing.conditions = False
    with pytest.raises(CacheError, match="s3://features/C has no conditional writes"):
        push(source, "s3://features/C")
    assert not losing.objects
