"""A folder as a place to write: nothing is overwritten, whatever the filesystem can do and whoever else writes."""

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from foresight_cache.errors import NotACache, UsageError
from foresight_cache.format.stores import LocalStore, open_writable

KEY = "vit.block_01/c/0/0/0"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "C")


def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


def failing_link(code: int, *, after: bool = False) -> Callable[..., None]:
    """Stands for link(2) on a filesystem that has none, or whose answer gets lost `after` it was done."""
    real = os.link

    def link(old: str | Path, new: str | Path) -> None:
        if after:
            real(old, new)
        raise OSError(code, os.strerror(code), str(new))

    return link


def side_by_side(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("code", [None, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
class TestCreate:
    """With hard links, and without."""

    @pytest.fixture(autouse=True)
    def links(self, code: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
        if code:
            monkeypatch.setattr(os, "link", failing_link(code))

    def test_who_comes_second_leaves_what_is_there(self, store: LocalStore) -> None:
        assert store.create(KEY, b"first")
        assert not store.create(KEY, b"other")
        assert store.create(KEY, b"first"), "it is what was to be put"
        assert store.read(KEY) == b"first"
        assert not (store.root / "samples/.partial").exists()

    def test_a_file_is_moved_in_or_kept(self, store: LocalStore) -> None:
        claim = store.claim("000000")
        assert claim
        file = claim.scratch / "object"
        file.write_bytes(b"first")
        assert store.create(KEY, file)
        assert not file.exists()
        file.write_bytes(b"other")
        assert not store.create(KEY, file)
        assert (file.read_bytes(), store.read(KEY)) == (b"other", b"first")
        claim.release()

    def test_of_many_at_once_one_wins(self, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
        no_locks(monkeypatch)
        for turn in range(5):
            won: list[int] = []
            key = f"{KEY}-{turn}"

            def put(number: int, key: str = key, won: list[int] = won) -> None:
                if store.create(key, b"%d" % number):
                    won.append(number)

            side_by_side(put, 6)
            assert [store.read(key)] == [b"%d" % number for number in won]


def test_a_link_that_was_made_although_it_is_said_to_have_failed(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in (errno.EIO, errno.EEXIST, errno.EPERM):
        monkeypatch.setattr(os, "link", failing_link(code, after=True))
        assert store.create(f"object-{code}", b"mine")
        assert store.read(f"object-{code}") == b"mine"
        monkeypatch.undo()


def test_a_link_that_failed_leaves_nothing(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", failing_link(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        store.create(KEY, b"mine")
    assert not [path for path in store.root.rglob("*") if path.is_file()]


def test_a_record_is_swapped_by_who_knows_it(store: LocalStore) -> None:
    assert not store.swap("zarr.json", b"old", b"new"), "there is none"
    store.create("zarr.json", b"old")
    assert store.swap("zarr.json", b"old", b"new")
    assert not store.swap("zarr.json", b"old", b"newer")
    assert store.swap("zarr.json", b"old", b"new"), "it has been done"
    assert store.read("zarr.json") == b"new"


def test_no_swap_is_lost_without_locks(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    no_locks(monkeypatch)
    store.create("list", b"")

    def add(number: int) -> None:
        for turn in range(8):
            entry = b"%d-%d " % (number, turn)
            while not store.swap("list", old := store.read("list"), old + entry):
                pass

    side_by_side(add, 4)
    assert sorted(store.read("list").split()) == [b"%d-%d" % (number, turn) for number in range(4) for turn in range(8)]


def test_a_turn_that_others_took_for_a_dead_ones_changes_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("count", b"0")

    def gone(_: Path) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(os, "utime", gone)
    assert not store.swap("count", b"0", b"1")
    assert store.read("count") == b"0"


def test_a_damaged_object_is_replaced_in_the_state_in_which_it_was_seen(store: LocalStore) -> None:
    store.create(KEY, b"cut o")
    seen = store.tag(KEY)
    assert store.replace(KEY, seen, b"whole")
    assert not store.replace(KEY, seen, b"of another")
    assert store.read(KEY) == b"whole"
    (store.root / KEY).unlink()
    assert not store.replace(KEY, seen, b"whole")
    with pytest.raises(FileNotFoundError):
        store.tag(KEY)


def test_names_below_a_key(store: LocalStore) -> None:
    assert store.children("") == set()
    store.create(KEY, b"")
    store.create("zarr.json", b"{}")
    assert store.children("") == {"samples", "vit.block_01", "zarr.json"}
    assert store.children("vit.block_01/c") == {"0"}


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("cache.zip", UsageError, r"cache\.zip is a zip file, which can be read but not written"),
        ("notes.txt", NotACache, r"notes\.txt is a file; name a new directory"),
        ("https://host/cache", UsageError, r"https://host/cache can be read but not written"),
    ],
)
def test_places_that_cannot_be_written(tmp_path: Path, name: str, error: type[Exception], sentence: str) -> None:
    place = name if "://" in name else str(tmp_path / name)
    if "://" not in name:
        Path(place).write_bytes(b"")
    with pytest.raises(error, match=sentence):
        open_writable(place)
