"""What is damaged is mended, what is right is never touched, and nothing of another computation is taken."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from foresight_cache import Cache, open_cache
from foresight_cache.copying.repair import examine, take_out
from foresight_cache.errors import CorruptCache, FingerprintMismatch, NotACache
from foresight_cache.format.stores import open_writable
from foresight_cache.verify import Finding, verify
from tests.support import copied, planted
from tests.support.copied import Watched, contents, flip, states
from tests.support.damaged_objects import DAMAGE, damage

POINTS = planted.points_of_every_type()
OBJECT = "llm.layer_01/c/1/0/0"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "OTHER"
    planted.write(root, planted.plan(POINTS))
    return root


@pytest.fixture
def cache(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "C")
    return tmp_path / "C"


def mend(root: Path, other: Path | Cache) -> list[str]:
    return examine(open_writable(root), other if isinstance(other, Cache) else open_cache(other), verify).run()


def assert_untouched(root: Path, before: dict[str, tuple[int, int]], but: set[str]) -> None:
    after = states(root)
    assert {key: after[key] for key in before.keys() - but} == {key: before[key] for key in before.keys() - but}


WRONG: dict[str, tuple[str, Callable[[Path], None]]] = {
    **{f"object: {kind}": (OBJECT, lambda root, kind=kind: damage(root, kind)) for kind in DAMAGE},  # type: ignore[misc]
    "commit: flipped": ("samples/000001.json", lambda root: flip(root / "samples/000001.json")),
    "commit: missing": ("samples/000001.json", lambda root: (root / "samples/000001.json").unlink()),
    "commit: emptied": ("samples/000001.json", lambda root: (root / "samples/000001.json").write_bytes(b"")),
    "commit: of another shard": (
        "samples/000001.json",
        lambda root: (root / "samples/000001.json").write_bytes((root / "samples/000000.json").read_bytes()),
    ),
    "array: flipped": ("pixels/zarr.json", lambda root: flip(root / "pixels/zarr.json", 40)),
    "array: missing": ("pixels/zarr.json", lambda root: (root / "pixels/zarr.json").unlink()),
    "group: missing": ("samples/zarr.json", lambda root: (root / "samples/zarr.json").unlink()),
    "root: flipped": ("zarr.json", lambda root: flip(root / "zarr.json", 100)),
    "root: missing": ("zarr.json", lambda root: (root / "zarr.json").unlink()),
    "root: emptied": ("zarr.json", lambda root: (root / "zarr.json").write_bytes(b"")),
}


class TestFromAnotherCopy:
    @pytest.mark.parametrize("kind", WRONG)
    def test_each_kind_of_damage(self, whole: Path, cache: Path, kind: str) -> None:
        key, spoil = WRONG[kind]
        before = states(cache)
        spoil(cache)
        store = Watched(whole)
        assert mend(cache, Cache(store)) == []
        assert contents(cache) == contents(whole)
        assert_untouched(cache, before, {key})
        assert set(store.read_bytes) == ({OBJECT} if key == OBJECT else set()), "nothing else is copied"

    def test_much_at_once(self, whole: Path, cache: Path) -> None:
        for number, (_, spoil) in enumerate(WRONG.values()):
            if number % 2:
                spoil(cache)
        flip(cache / "vit.block_01/c/0/0/0")
        (cache / "pixels/c/2/0/0").unlink()
        assert mend(cache, whole) == []
        assert contents(cache) == contents(whole)

    def test_an_intact_cache(self, whole: Path, cache: Path) -> None:
        before = states(cache)
        mending = examine(open_writable(cache), open_cache(whole), verify)
        assert mending.lacks == 0
        assert mending.run() == []
        assert states(cache) == before

    @pytest.mark.parametrize("seed", range(12))
    def test_a_copy_that_was_interrupted(self, whole: Path, tmp_path: Path, seed: int) -> None:
        """Some files in any order, the last of them not whole, as `cp -r` and the like leave them."""
        order = random.Random(seed)  # noqa: S311 - an order, no secret
        files = list(contents(whole).items())
        order.shuffle(files)
        for number, (key, data) in enumerate(files[: (came := order.randrange(1, len(files)))]):
            (tmp_path / "C" / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "C" / key).write_bytes(data[: order.randrange(len(data))] if number == came - 1 else data)
        has_point = any(path.is_dir() and path.name != "samples" for path in (tmp_path / "C").iterdir())
        if not has_point and not (tmp_path / "C/zarr.json").exists():
            with pytest.raises(NotACache, match="foresight pull"):
                mend(tmp_path / "C", whole)
            return
        before, right = states(tmp_path / "C"), contents(whole)
        broken = {key for key, data in contents(tmp_path / "C").items() if data != right[key]}
        assert mend(tmp_path / "C", whole) == []
        assert contents(tmp_path / "C") == right
        assert_untouched(tmp_path / "C", before, broken)

    def test_an_object_of_another_digest_is_refused_by_name(self, cache: Path, tmp_path: Path) -> None:
        copied.write_other_bits(tmp_path / "OTHER", planted.plan(POINTS))
        flip(cache / OBJECT)
        (cache / "vit.block_01/c/2/0/0").unlink()
        flip(cache / "pixels/c/1/0/0")  # pixels are the same
        before = contents(cache)
        wrong = mend(cache, tmp_path / "OTHER")
        assert [sentence.split(":")[0] for sentence in wrong] == [OBJECT, "vit.block_01/c/2/0/0"]
        assert all("has other bytes than were committed here, computed apart" in sentence for sentence in wrong)
        after = contents(cache)
        assert after.keys() == before.keys()
        assert {key for key in after if after[key] != before[key]} == {"pixels/c/1/0/0"}

    def test_a_lost_commit_of_another_computation(self, cache: Path, tmp_path: Path) -> None:
        """What is there is whole: it stays, and is committed as it is."""
        copied.write_other_bits(tmp_path / "OTHER", planted.plan(POINTS))
        (cache / "samples/000001.json").unlink()
        before = contents(cache)
        assert mend(cache, tmp_path / "OTHER") == []
        assert {key: data for key, data in contents(cache).items() if key in before} == before
        assert verify(open_cache(cache)) == []

    def test_damage_in_both(self, whole: Path, cache: Path, tmp_path: Path) -> None:
        shutil.copytree(whole, tmp_path / "OTHER")
        for root in (cache, tmp_path / "OTHER"):
            flip(root / OBJECT)
            flip(root / "pixels/c/0/0/0", 5000)
        (tmp_path / "OTHER/pixels/c/0/0/0").write_bytes((whole / "pixels/c/0/0/0").read_bytes())
        damaged = (cache / OBJECT).read_bytes()
        (sentence,) = mend(cache, tmp_path / "OTHER")
        assert f"OTHER/{OBJECT} does not have the SHA-256 that was committed" in sentence
        assert (cache / OBJECT).read_bytes() == damaged, "its other samples can still be read"
        assert (cache / "pixels/c/0/0/0").read_bytes() == (whole / "pixels/c/0/0/0").read_bytes()

    def test_another_cache(self, cache: Path, tmp_path: Path) -> None:
        copied.of_other(tmp_path / "OTHER", weights="pretrained")
        flip(cache / OBJECT)
        before = contents(cache)
        with pytest.raises(FingerprintMismatch, match="C holds another cache than"):
            mend(cache, tmp_path / "OTHER")
        (cache / "zarr.json").unlink()
        with pytest.raises(NotACache, match="is of another cache than"):
            mend(cache, tmp_path / "OTHER")
        assert contents(cache).keys() == before.keys() - {"zarr.json"}

    def test_a_copy_of_fewer_points_and_shards(self, cache: Path, tmp_path: Path) -> None:
        few = {name: point for name, point in POINTS.items() if name != "llm.layer_01"}
        planted.write(tmp_path / "OTHER", planted.plan(few, 8))
        flip(cache / OBJECT)
        flip(cache / "vit.block_01/c/1/0/0")
        (cache / "vit.block_01/c/2/0/0").unlink()
        wrong = mend(cache, tmp_path / "OTHER")
        assert {sentence.split(":")[0] for sentence in wrong} == {OBJECT, "vit.block_01/c/2/0/0"}

    def test_no_cache_at_all(self, whole: Path, tmp_path: Path) -> None:
        with pytest.raises(NotACache, match="there is nothing to mend; copy the cache with 'foresight pull'"):
            mend(tmp_path / "C", whole)
        assert not (tmp_path / "C").exists()


class TestTakenOut:
    @pytest.mark.parametrize("kind", [kind for kind in WRONG if not kind.startswith("root")])
    def test_the_same_writer_makes_this_alone_again(self, whole: Path, cache: Path, kind: str) -> None:
        key, spoil = WRONG[kind]
        before = states(cache)
        spoil(cache)
        was_there = (cache / key).exists()
        taken = take_out(open_writable(cache), verify)
        assert taken == ([key] if was_there and "zarr.json" not in key else [])
        assert_untouched(cache, before, {key})
        planted.write(cache, planted.plan(POINTS))
        assert contents(cache) == contents(whole)
        assert_untouched(cache, before, {key})

    def test_an_intact_cache(self, cache: Path) -> None:
        before = states(cache)
        assert take_out(open_writable(cache), verify) == []
        assert states(cache) == before

    def test_what_somebody_mends_meanwhile_stays(self, whole: Path, cache: Path) -> None:
        for key in (OBJECT, "samples/000002.json"):
            flip(cache / key)

        def verify_slowly(opened: Cache) -> list[Finding]:
            findings = verify(opened)
            for key in (OBJECT, "samples/000002.json"):
                shutil.copy(whole / key, cache / key)
            return findings

        assert take_out(open_writable(cache), verify_slowly) == []
        assert contents(cache) == contents(whole)

    def test_strays_stay(self, cache: Path) -> None:
        (cache / "notes.txt").write_text("mine")
        assert take_out(open_writable(cache), verify) == []
        assert (cache / "notes.txt").exists()

    @pytest.mark.parametrize("kind", ["root: flipped", "root: missing"])
    def test_without_a_root_nothing_is_done(self, cache: Path, kind: str) -> None:
        WRONG[kind][1](cache)
        before = states(cache)
        with pytest.raises((NotACache, CorruptCache)):
            take_out(open_writable(cache), verify)
        assert states(cache) == before
