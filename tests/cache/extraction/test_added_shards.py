"""Shards that are added later: the cache of one run, for writers and readers of either length at any time."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import FingerprintMismatch
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution, ExtractionOptions
from foresight_cache.extraction.planning.extraction_plan import plan_extraction
from foresight_cache.format.layout import CacheLayout, ShardSource
from foresight_cache.format.stores import LocalStore
from foresight_cache.points import resolve
from foresight_cache.shards import open_shards
from foresight_cache.verify import verify
from foresight_cache.writer import CacheWriter
from tests.support import planted
from tests.support.preparing import prepare

FEW, MANY = planted.plan(planted.fixed_points(), samples=8), planted.plan(planted.fixed_points(), samples=14)
POINTS = tuple(FEW.points)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    planted.write(tmp_path / "whole", MANY)
    return contents(tmp_path / "whole")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache of two full shards."""
    planted.write(tmp_path / "C", FEW)
    return tmp_path / "C"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same scenes prepared four times: two full shards, four, two of which one is short, and other ones."""
    folder = tmp_path_factory.mktemp("added")
    prepare("shapes", out=folder / "two", limit=4, samples_per_shard=2)
    prepare("shapes", out=folder / "four", limit=8, samples_per_shard=2)
    prepare("shapes", out=folder / "short", limit=3, samples_per_shard=2)
    prepare("shapes", out=folder / "other", limit=8, samples_per_shard=2, seed=1)
    return folder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return encoders.load("tiny:qwen2_5_vl", LoadOptions())


def extracted(encoder: Encoder, shards: Path, out: Path, points: str = "E1") -> None:
    """Extracts, and sees that the plan is what was done."""
    found = resolve(points.split(","), [tap.name for tap in encoder.taps])
    options = ExtractionOptions(
        points=found, inputs=InputSpec(size=InputSize.parse("56")), execution=Execution(batch_tokens=16)
    )
    left = plan_extraction(open_shards(shards), encoder, options, out)
    done: list[int] = []
    extract(open_shards(shards), encoder, options, out, lambda samples, _: done.append(samples))
    assert (left.shards_left, left.samples_left) == (len(done), sum(done))


class TestThroughExtract:
    def test_the_cache_is_that_of_one_run(self, encoder: Encoder, folder: Path, tmp_path: Path) -> None:
        extracted(encoder, folder / "two", tmp_path / "C")
        assert len(open_cache(tmp_path / "C")) == 4
        extracted(encoder, folder / "four", tmp_path / "C")
        extracted(encoder, folder / "four", tmp_path / "W")
        assert contents(tmp_path / "C") == contents(tmp_path / "W")
        assert len(open_cache(tmp_path / "C")) == 8

    def test_points_may_come_first_for_some_shards(self, encoder: Encoder, folder: Path, tmp_path: Path) -> None:
        extracted(encoder, folder / "four", tmp_path / "C")
        extracted(encoder, folder / "two", tmp_path / "C", "E1,E4")
        assert open_cache(tmp_path / "C").points == ("vit.patch_embed", "pixels"), "what every sample has"
        extracted(encoder, folder / "four", tmp_path / "C", "E1,E4")
        extracted(encoder, folder / "four", tmp_path / "W", "E1,E4")
        assert contents(tmp_path / "C") == contents(tmp_path / "W")

    @pytest.mark.parametrize(
        ("first", "then", "field"),
        [("short", "four", "samples is 1 in the cache and 2 here"), ("two", "other", "sha256 is '[0-9a-f]{64}' in")],
    )
    def test_another_tar_is_refused_by_name(
        self, encoder: Encoder, folder: Path, tmp_path: Path, first: str, then: str, field: str
    ) -> None:
        extracted(encoder, folder / first, tmp_path / "C")
        before = contents(tmp_path / "C")
        with pytest.raises(FingerprintMismatch, match=rf"shards\.shard-000001\.tar\.{field}") as caught:
            extracted(encoder, folder / then, tmp_path / "C")
        assert "shard-000002" not in str(caught.value), "what is new is no hindrance"
        assert contents(tmp_path / "C") == before


def test_a_writer_of_fewer_shards_keeps_to_its_own(root: Path, whole: dict[str, bytes]) -> None:
    planted.write(root, MANY)
    (root / "samples/000001.json").unlink()
    (root / "samples/000003.json").unlink()
    with CacheWriter(root, FEW) as writer:
        assert [pending.number for pending in writer.pending(POINTS)] == [1]
    planted.write(root, FEW)
    assert contents(root).keys() == whole.keys() - {"samples/000003.json"}, "the list of shards was not cut"
    planted.write(root, MANY)
    assert contents(root) == whole


def test_a_writer_that_began_before_the_others_grew_the_cache(tmp_path: Path, whole: dict[str, bytes]) -> None:
    with CacheWriter(tmp_path / "C", FEW) as early:
        held = next(early.pending(POINTS))
        planted.write(tmp_path / "C", MANY)
        assert early.wait_for_others(POINTS), "shard 0 is its own and not committed"
        rows = []
        with early.shard(held) as shard:
            for position in range(4):
                grids = planted.grids(position, ragged=False)
                for name, layout in FEW.points.items():
                    shard.add(position, name, planted.values(position, layout.tokens, layout))
                rows.append(planted.good(position, grids))
            shard.commit(rows)
        assert list(early.pending(POINTS)) == []
        assert not early.wait_for_others(POINTS)
    assert contents(tmp_path / "C") == whole


def test_a_writer_that_waited_while_the_others_grew_the_cache(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen an empty place, and creates the metadata when the others have just made more of it."""
    real = LocalStore.create

    def late(store: LocalStore, key: str, content: Path | bytes) -> bool:
        monkeypatch.undo()
        planted.write(tmp_path / "C", MANY)
        return real(store, key, content)

    monkeypatch.setattr(LocalStore, "create", late)
    with CacheWriter(tmp_path / "C", FEW):
        pass
    assert contents(tmp_path / "C") == whole


@pytest.mark.parametrize("written", range(4))
def test_growth_that_was_killed_is_finished_by_whoever_comes_next(
    root: Path, whole: dict[str, bytes], written: int
) -> None:
    """Killed after the root, or after that and some of the arrays."""
    for key in ("zarr.json", *(f"{point}/zarr.json" for point in POINTS))[: 1 + written]:
        (root / key).write_bytes(whole[key])
    assert len(open_cache(root)) == 8
    planted.write(root, FEW)
    metadata = {key for key in whole if key.endswith("zarr.json")}
    assert {key: contents(root)[key] for key in metadata} == {key: whole[key] for key in metadata}
    planted.write(root, MANY)
    assert contents(root) == whole


def test_a_reader_that_opened_before_sees_what_was_there(root: Path) -> None:
    before = open_cache(root)
    planted.write(root, MANY)
    assert len(before) == 8
    assert before.complete
    assert sum(1 for _ in before["pixels"]) == 8
    assert len(open_cache(root)) == 14


def test_verification_that_began_before_knows_the_added_shards(root: Path) -> None:
    before = open_cache(root)
    planted.write(root, MANY)
    assert verify(before) == []


def test_of_two_that_add_other_shards_the_second_is_refused(root: Path) -> None:
    planted.write(root, MANY)
    other = replace(MANY, shards=(*FEW.shards, ShardSource(name="shard-000002.tar", sha256="f" * 64, samples=4)))
    with pytest.raises(FingerprintMismatch, match=r"shards\.shard-000002\.tar\.sha256 is '0+2' in the cache and 'f"):
        CacheWriter(root, other)


def test_nothing_follows_a_shard_that_is_not_full(tmp_path: Path) -> None:
    """Its free slots would stay free, so that the cache would not be that of one run."""
    short = planted.plan(planted.fixed_points(), samples=6)
    planted.write(tmp_path / "C", short)
    more = replace(short, shards=(*short.shards, ShardSource(name="shard-000002.tar", sha256="a" * 64, samples=4)))
    with pytest.raises(FingerprintMismatch, match=r"shard-000002\.tar\.number is absent in the cache and 2 here"):
        CacheWriter(tmp_path / "C", more)


def test_another_order_of_the_same_tars_is_refused(root: Path) -> None:
    swapped: CacheLayout = replace(MANY, shards=(MANY.shards[1], MANY.shards[0], *MANY.shards[2:]))
    with pytest.raises(FingerprintMismatch, match=r"shards\.shard-000000\.tar\.number is 0 in the cache and 1 here"):
        CacheWriter(root, swapped)


def test_the_root_is_written_before_the_arrays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the root never lists fewer samples than an array has."""
    order: list[str] = []
    real = LocalStore.swap

    def noted(store: LocalStore, key: str, old: bytes, new: bytes) -> bool:
        order.append(key)
        done = real(store, key, old, new)
        samples = [each["samples"] for each in _ours(root)["shards"]]
        for point in POINTS:
            assert json.loads((root / point / "zarr.json").read_bytes())["shape"][0] <= sum(samples)
        return done

    monkeypatch.setattr(LocalStore, "swap", noted)
    with CacheWriter(root, MANY):
        pass
    assert order == ["zarr.json", *(f"{point}/zarr.json" for point in POINTS)]


def _ours(root: Path) -> dict[str, list[dict[str, int]]]:
    ours: dict[str, list[dict[str, int]]] = json.loads((root / "zarr.json").read_bytes())["attributes"]["foresight"]
    return ours
