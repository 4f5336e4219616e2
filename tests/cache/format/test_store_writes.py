"""Writes to an object store whose answers cannot be trusted: a server on loopback that loses them as it is told."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foresight_cache import open_cache
from foresight_cache.errors import CacheError, ForesightWarning
from foresight_cache.format.stores import ObjectStore, patience
from foresight_cache.format.stores.writable import LEASE_SECONDS
from foresight_cache.verify import verify
from tests.support import planted
from tests.support.losing_store import LosingStore, Request, losing_store

URL = "s3://features/C"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LosingStore]:
    monkeypatch.setenv("FORESIGHT_RETRY_SECONDS", "4")
    monkeypatch.setattr(patience, "PAUSES", (0.02, 1.0))
    with losing_store(monkeypatch, silence=1.5) as store:
        yield store


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.config import conf

    monkeypatch.setitem(conf, "s3", {"config_kwargs": {"read_timeout": 0.5}})


def first(fault: str, method: str = "PUT", times: int = 1) -> Callable[[Request], str | None]:
    """Returns what lets the first requests of a method go wrong."""
    left = [fault] * times

    def next_fault(request: Request) -> str | None:
        return left.pop() if request.method == method and left else None

    return next_fault


def puts(server: LosingStore) -> int:
    return sum(request.method == "PUT" for request in server.requests)


FAULTS = {
    "drop after": 1,  # sent once: what was written is found
    "500 after": 1,
    "silent after": 1,
    "503 before": 2,  # nothing was written: sent again
    "drop before": 2,
    "409": 2,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("short_timeout")
class TestLostAnswers:
    def test_create(self, server: LosingStore, fault: str) -> None:
        server.fault = first(fault)
        assert ObjectStore(URL).create("a", b"mine")
        assert (server.objects["C/a"].data, puts(server)) == (b"mine", FAULTS[fault])

    def test_create_where_another_object_is(self, server: LosingStore, fault: str) -> None:
        ObjectStore(URL).create("a", b"theirs")
        server.fault = first(fault)
        assert not ObjectStore(URL).create("a", b"my"), "theirs stays"
        assert not ObjectStore(URL).create("a", b"myself"), "of the same size"
        assert ObjectStore(URL).create("a", b"theirs"), "the same bytes are as good as ours"
        assert server.objects["C/a"].data == b"theirs"

    def test_swap(self, server: LosingStore, fault: str) -> None:
        store = ObjectStore(URL)
        store.create("a", b"one")
        server.fault = first(fault)
        assert store.swap("a", b"one", b"two")
        assert (server.objects["C/a"].data, puts(server)) == (b"two", 1 + FAULTS[fault])
        server.fault = first(fault)
        assert not store.swap("a", b"one", b"three")
        assert not store.swap("absent", b"one", b"three")
        assert server.objects["C/a"].data == b"two"
        assert "C/absent" not in server.objects

    def test_replace(self, server: LosingStore, tmp_path: Path, fault: str) -> None:
        store = ObjectStore(URL)
        store.create("a", b"damaged")
        tag = store.tag("a")
        (tmp_path / "whole").write_bytes(b"whole")
        server.fault = first(fault)
        assert store.replace("a", tag, tmp_path / "whole")
        assert not store.replace("a", tag, b"other")
        assert server.objects["C/a"].data == b"whole"


def test_a_swap_between_reading_and_writing_is_seen(server: LosingStore) -> None:
    store = ObjectStore(URL)
    store.create("a", b"one")

    def another(request: Request) -> None:
        if request.method == "PUT":
            server.put("C/a", b"theirs", {})

    server.fault = another
    assert not store.swap("a", b"one", b"two")
    assert server.objects["C/a"].data == b"theirs"


def test_one_of_many_creates_an_object(server: LosingStore) -> None:
    server.sometimes(0.3, seed=5)
    outcomes: list[tuple[int, bool]] = []
    threads = [
        threading.Thread(target=lambda n=n: outcomes.append((n, ObjectStore(URL).create("a", b"%d" % n))))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [n for n, won in outcomes if won]
    assert server.objects["C/a"].data == b"%d" % winner


def test_objects_are_marked_with_their_digest_and_sent_in_one_request(server: LosingStore, tmp_path: Path) -> None:
    import hashlib

    data = os.urandom(20 << 20)
    (tmp_path / "a").write_bytes(data)
    assert ObjectStore(URL).create("a", tmp_path / "a")
    assert server.objects["C/a"].metadata == {"x-amz-meta-sha256": hashlib.sha256(data).hexdigest()}
    assert puts(server) == 1
    assert ObjectStore(URL).create("empty", b"")
    assert server.objects["C/empty"].data == b""


def test_an_upload_may_take_longer_than_the_time_for_an_answer(
    server: LosingStore, short_timeout: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's time-out of reading runs while it sends, too: a large object gets more of it."""
    from foresight_cache.format.stores import object_client

    monkeypatch.setattr(object_client, "SLOWEST", 1000)
    server.fault = first("slow")
    assert ObjectStore(URL).create("a", bytes(100_000))
    assert puts(server) == 1


class TestReads:
    @pytest.mark.parametrize("fault", ["cut", "drop before", "503 before", "slow"])
    @pytest.mark.usefixtures("short_timeout")
    def test_parts_are_asked_for_again(self, server: LosingStore, fault: str) -> None:
        data = os.urandom(20 << 20)
        server.put("C/a", data, {})
        size, read = ObjectStore(URL).ranges("a")
        server.fault = first(fault, "GET", times=2)
        assert bytes(read(7, size + 10)) == data[7:]
        server.fault = first(fault, "GET", times=2)
        buffers = [bytearray(9 << 20), bytearray(0), bytearray(12 << 20)]
        assert ObjectStore(URL).fill("a", 100, [memoryview(each) for each in buffers]) == len(data) - 100
        assert b"".join(buffers)[: len(data) - 100] == data[100:]
        assert server.done == {fault: 4}

    def test_the_end_of_an_object(self, server: LosingStore) -> None:
        server.put("C/a", b"0123456789", {})
        size, read = ObjectStore(URL).ranges("a")
        assert [bytes(read(*span)) for span in ((8, 20), (10, 20), (4, 4), (11, 12))] == [b"89", b"", b"", b""]
        server.put("C/a", b"012", {})
        assert bytes(read(0, size)) == b"012", "an object that is cut off is as short as that, and no panic"
        assert ObjectStore(URL).fill("a", 2, [memoryview(bytearray(5))]) == 1
        assert ObjectStore(URL).fill("a", 5, [memoryview(bytearray(5))]) == 0

    @pytest.mark.usefixtures("server")
    def test_missing_objects(self) -> None:
        store = ObjectStore(URL)
        for ask in (store.read, store.ranges, store.tag, lambda key: store.fill(key, 0, [memoryview(bytearray(1))])):
            with pytest.raises(FileNotFoundError):
                ask("absent")
        assert store.names("absent") == []
        assert store.children("") == set()
        assert store.sizes() == {}

    def test_listings_of_several_pages(self, server: LosingStore) -> None:
        for number in range(50):
            server.put(f"C/samples/{number:06d}.json", b"1", {})
        server.put("C2/zarr.json", b"1", {})
        server.put("C/pixels/c/0/0/0", b"22", {})
        store = ObjectStore(URL + "/")
        assert store.names("samples") == [f"{number:06d}.json" for number in range(50)]
        assert store.children("") == {"samples", "pixels"}
        assert len(store.sizes()) == 51
        assert store.sizes()["pixels/c/0/0/0"] == 2


class TestClaims:
    def test_a_claim_is_held_renewed_and_released(self, server: LosingStore, tmp_path: Path) -> None:
        mine, theirs = ObjectStore(URL, tmp_path), ObjectStore(URL, tmp_path)
        held = mine.claim("000001")
        assert held
        assert held.scratch.is_dir()
        assert held.scratch.is_relative_to(tmp_path)
        assert theirs.claim("000001") is None
        assert mine.sizes() == {}, "what is being written is nothing of the cache"
        assert held.renew()
        assert held.renew()
        theirs.sweep()
        assert held.renew(), "a living claim is not swept"
        held.release()
        assert not held.scratch.exists()
        assert server.objects == {}
        assert theirs.claim("000001")

    def test_by_the_clock_of_the_store_a_claim_dies_and_is_taken_over(self, server: LosingStore) -> None:
        """The store's clock is an hour ahead of ours, and then goes on."""
        ahead = [3600.0]
        server.clock = lambda: datetime.now(UTC).timestamp() + ahead[0]
        held = ObjectStore(URL).claim("000001")
        assert held
        assert ObjectStore(URL).claim("000001") is None, "its claim looks an hour old by our clock and is new by theirs"
        ahead[0] += LEASE_SECONDS + 5
        other = ObjectStore(URL).claim("000001")
        assert other
        assert not held.renew(), "it has lost its claim"
        held.release()
        assert other.renew(), "who has lost a claim does not release another's"

    def test_a_claim_of_a_dead_process_is_free_at_once(self, server: LosingStore) -> None:
        ObjectStore(URL).sweep()  # the library is in use, so that the child of a fork needs one of its own
        if (process := os.fork()) == 0:
            signal.alarm(20)
            os._exit(0 if ObjectStore(URL).claim("000001") else 1)
        assert os.waitpid(process, 0)[1] == 0
        assert list(server.objects) == ["C/samples/.partial/000001.claim"]
        assert ObjectStore(URL).claim("000001")

    def test_what_dead_attempts_left_is_swept(self, server: LosingStore, tmp_path: Path) -> None:
        if (process := os.fork()) == 0:
            store = ObjectStore(URL, tmp_path)
            held = store.claim("000001")
            if held:
                (held.scratch / "half").write_bytes(b"1")
            os._exit(0)
        os.waitpid(process, 0)
        server.put("C/pixels/c/0/0/0", b"an object without a commit", {})
        ObjectStore(URL, tmp_path).sweep()
        assert list(server.objects) == ["C/pixels/c/0/0/0"]
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_a_scratch_folder_of_somebody_else_is_refused(
        self, server: LosingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        another = os.getuid() + 1
        (tmp_path / f"foresight-scratch-{another}").mkdir()
        monkeypatch.setattr("os.getuid", lambda: another)
        with pytest.raises(CacheError, match=f"{tmp_path}/foresight-scratch-.* belongs to another user"):
            ObjectStore(URL).claim("000001")
        assert server.objects == {}

    @pytest.mark.usefixtures("server")
    @pytest.mark.parametrize("call", ["mkdir", "stat"])
    def test_a_folder_that_others_remove_just_when_it_is_looked_at(
        self, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the last attempt of another process does, at the worst moment."""
        folder, usual, removed = tmp_path / f"foresight-scratch-{os.getuid()}", getattr(os, call), []
        folder.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        monkeypatch.setenv("TMPDIR", str(tmp_path))

        def then_removed(path: Path, *arguments: object, **words: object) -> object:
            try:
                return usual(path, *arguments, **words)
            finally:
                if Path(path) == folder and not removed:
                    folder.rmdir()
                    removed.append(folder)

        monkeypatch.setattr(os, call, then_removed)
        held = ObjectStore(URL).claim("000001")
        assert removed
        assert held
        assert held.scratch.is_dir()

    def test_one_of_many_has_a_claim(self, server: LosingStore) -> None:
        server.sometimes(0.2, seed=3)
        held = []
        threads = [threading.Thread(target=lambda: held.append(ObjectStore(URL).claim("1"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([each for each in held if each]) == 1


class TestTheProbe:
    def test_it_leaves_nothing(self, server: LosingStore) -> None:
        ObjectStore(URL).check_writable()
        assert server.objects == {}
        assert len(server.requests) <= 5

    def test_a_store_without_conditional_writes_is_refused(self, server: LosingStore) -> None:
        server.conditions = False
        with pytest.raises(CacheError) as caught:
            ObjectStore(URL).check_writable()
        assert str(caught.value) == (
            "s3://features/C has no conditional writes (If-None-Match: it overwrote an object that was there), without "
            "which several writers could destroy each other's work; write to another store, or to a local directory "
            "and copy it there"
        )
        assert server.objects == {}

    def test_a_store_that_heeds_only_one_of_the_conditions(self, server: LosingStore) -> None:
        heeded = server.put
        for ignored in ("if-none-match", "if-match"):
            server.put = lambda key, data, headers, ignored=ignored: heeded(  # type: ignore[method-assign]
                key, data, {name: value for name, value in headers.items() if name != ignored}
            )
            with pytest.raises(CacheError, match="has no conditional writes"):
                ObjectStore(URL).check_writable()

    @pytest.mark.parametrize("fault", ["drop after", "409", "503 before", "500 after"])
    def test_it_is_not_misled_by_a_bad_connection(self, server: LosingStore, fault: str) -> None:
        for times in (1, 2, 3):
            server.fault = first(fault, times=times)
            ObjectStore(URL).check_writable()
        assert server.objects == {}


class TestSentences:
    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            (
                "403",
                "403 ExpiredToken: told to; renew the credentials and run the same command again: what is finished is "
                "kept",
            ),
            (
                "refused",
                "403 AccessDenied: told to; check that the credentials are valid and allow it, and run the same "
                "command again",
            ),
        ],
    )
    def test_what_is_refused_is_told_at_once(self, server: LosingStore, fault: str, sentence: str) -> None:
        store = ObjectStore(URL)
        server.fault = lambda _request: fault
        for ask, doing in (
            (lambda: store.create("a", b"1"), "writing a"),
            (lambda: store.read("a"), "reading a"),
            (lambda: store.sizes(), "listing it"),
        ):
            with pytest.raises(CacheError) as caught:
                ask()
            assert str(caught.value) == f"{URL}: {doing} failed: {sentence}"

    def test_a_store_that_stays_busy(self, server: LosingStore, monkeypatch: pytest.MonkeyPatch) -> None:
        from foresight_cache.format.stores import object_client

        monkeypatch.setattr(object_client, "TOLD_AFTER", 0.5)
        monkeypatch.setenv("FORESIGHT_RETRY_SECONDS", "2")
        store = ObjectStore(URL)
        server.fault = lambda _request: "503 before"
        with (
            pytest.warns(ForesightWarning, match="does not do its work for now .*repeated for up to 2 seconds"),
            pytest.raises(CacheError, match="failed for [12] seconds: 503 .*; check its address and the network"),
        ):
            store.read("a")
        assert 4 < len(server.requests) < 20, "the pauses grow"

    @pytest.mark.usefixtures("server")
    def test_a_bucket_that_does_not_exist(self) -> None:
        for ask in (lambda store: store.check_writable(), lambda store: store.sizes(), lambda store: store.read("a")):
            with pytest.raises(CacheError, match="NoSuchBucket: told to; create the bucket, or check the URL"):
                ask(ObjectStore("s3://no-such-bucket/C"))

    def test_a_server_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORESIGHT_RETRY_SECONDS", "1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        for address, reason in (
            ("http://127.0.0.1:9", "Connection refused"),
            ("http://no-such-host.invalid", "dns error"),
        ):
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            with pytest.raises(CacheError, match=f"{reason}.*; check its address and the network"):
                ObjectStore(URL).read("a")

    @pytest.mark.usefixtures("server")
    def test_an_object_that_no_store_takes(self, tmp_path: Path) -> None:
        with (tmp_path / "a").open("wb") as file:
            file.truncate((5 << 30) + 1)
        with pytest.raises(CacheError, match=r"a has 5.4 GB and s3://features/C takes 5.4 at most"):
            ObjectStore(URL).create("a", tmp_path / "a")


@pytest.mark.parametrize("scheme", ["gs", "az"])
class TestOtherServices:
    """Google's, which tells states of objects by their generation, and Azure's, with a protocol of its own."""

    @pytest.fixture
    def store(self, server: LosingStore, scheme: str) -> ObjectStore:  # noqa: ARG002 - the server must run first
        return ObjectStore(f"{scheme}://features/C")

    def test_a_cache_is_that_of_a_local_run(self, store: ObjectStore, server: LosingStore, tmp_path: Path) -> None:
        cache = planted.plan(planted.fixed_points())
        planted.write(tmp_path / "C", cache)
        planted.write(store.place, cache)
        paths = [path for path in (tmp_path / "C").rglob("*") if path.is_file()]
        local = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in paths}
        assert {key: stored.data for key, stored in server.objects.items()} == local
        assert verify(open_cache(store.place)) == []

    @pytest.mark.parametrize("fault", [None, "drop after", "500 after", "503 before"])
    def test_objects_are_created_swapped_and_replaced(
        self, store: ObjectStore, server: LosingStore, fault: str | None
    ) -> None:
        for ask in (
            lambda: store.create("a", b"one"),
            lambda: store.swap("a", b"one", b"two"),
            lambda: store.replace("a", store.tag("a"), b"three"),
        ):
            server.fault = first(fault) if fault else lambda _request: None
            assert ask()
        state = server.objects["C/a"]
        assert store.tag("a") == (str(state.generation) if store.place.startswith("gs") else state.tag)
        assert not store.create("a", b"four")
        assert not store.swap("a", b"two", b"four")
        assert not store.replace("a", "7", b"four")
        assert server.objects["C/a"].data == b"three"

    def test_the_probe_and_claims(self, store: ObjectStore, server: LosingStore) -> None:
        store.check_writable()
        held = store.claim("000001")
        assert held
        assert held.renew()
        assert store.claim("000001") is None
        held.release()
        assert server.objects == {}
        server.conditions = False
        with pytest.raises(CacheError, match="has no conditional writes"):
            store.check_writable()


@pytest.mark.parametrize("prefix", ["a b", "a#b", "a%20b", "{x}", "é", "a+b"])
def test_characters_of_a_prefix_are_taken_as_they_are(server: LosingStore, prefix: str) -> None:
    store = ObjectStore(f"s3://features/{prefix}/")
    assert store.create("zarr.json", b"1")
    assert list(server.objects) == [f"{prefix}/zarr.json"]
    assert (store.read("zarr.json"), store.sizes(), store.children("")) == (b"1", {"zarr.json": 1}, {"zarr.json"})
