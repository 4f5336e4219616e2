"""Claims keep others off as long as their process lives, with file locks or without."""

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from foresight_cache.runtime import attempts, claims
from foresight_cache.runtime.attempts import FORGOTTEN_SECONDS, LEASE_SECONDS, Life, new_attempt
from foresight_cache.runtime.claims import claim, exclusive, held, scratch_folder, sweep
from foresight_cache.runtime.renewal import renewed


@pytest.fixture(params=["locks", "none"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "none":
        monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    return tmp_path / "claims"


def elsewhere(folder: Path, name: str, silent: float) -> Path:
    """Scratch folder of another machine's process, last heard of so many seconds ago."""
    own = new_attempt(name)
    path = folder / own.replace(attempts.machine(), "0123456789ab")
    path.mkdir(parents=True)
    (path / "object").write_bytes(b"half")
    os.utime(path, (time.time() - silent,) * 2)
    return path


def killed(folder: Path, name: str) -> Path:
    """What a process leaves that is killed while it holds a claim, and that nobody has waited for yet."""
    process = os.fork()
    if not process:
        one = claim(folder, name)
        assert one
        (one.scratch / "object").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    (left,) = folder.glob(f"{name}.*-*")
    return left


def test_a_claim_is_one_attempts_until_it_gives_it_back(folder: Path) -> None:
    one = claim(folder, "000001")
    assert one
    assert one.name == "000001"
    assert claim(folder, "000001") is None
    other = claim(folder, "000002")
    assert other
    assert list(one.scratch.iterdir()) == []
    assert held(folder) >= {one.scratch.name, other.scratch.name}
    one.release()
    again = claim(folder, "000001")
    assert again
    assert again.scratch != one.scratch, "nobody empties another's"
    again.release()
    other.release()
    assert not folder.exists()


def test_the_claim_of_a_killed_process_is_free_at_once(folder: Path) -> None:
    left = killed(folder, "000001")
    assert left.name not in held(folder)
    one = claim(folder, "000001")
    assert one
    assert not left.exists()
    os.wait()
    one.release()
    assert not folder.exists()


def test_a_later_process_of_the_same_number_is_not_taken_for_it(folder: Path) -> None:
    parts = new_attempt("000001").rsplit("-", 2)
    (folder / f"{parts[0]}-{int(parts[1]) - 1}-{parts[2]}").mkdir(parents=True)
    assert list(attempts.attempts(folder).values()) == [Life.DEAD]
    assert claim(folder, "000001")


@pytest.mark.parametrize(
    ("silent", "life", "free", "kept"),
    [
        (LEASE_SECONDS - 60, Life.LIVING, False, True),
        (LEASE_SECONDS + 60, Life.SILENT, True, True),
        (FORGOTTEN_SECONDS - 60, Life.SILENT, True, True),
        (FORGOTTEN_SECONDS + 60, Life.DEAD, True, False),
    ],
)
def test_another_machines_process_is_judged_by_its_last_sign_of_life(
    folder: Path, silent: float, life: Life, free: bool, kept: bool
) -> None:
    path = elsewhere(folder, "000001", silent)
    assert attempts.attempts(folder) == {path: life}
    sweep(folder)
    assert path.exists() == kept
    assert (claim(folder, "000001") is not None) == free
    assert path.exists() == kept, "what it writes is not taken from it"


def test_the_clock_is_the_filesystems(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(folder, "000001", 60)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert claim(folder, "000001") is None
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert claim(folder, "000001") is None


def test_two_that_come_at_once_both_step_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither has seen the other one's folder before it made its own."""
    real = claims._make

    def make(scratch: Path) -> Path:
        (scratch.parent / new_attempt("000001")).mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(claims, "_make", real)
        return real(scratch)

    monkeypatch.setattr(claims, "_make", make)
    assert claim(folder, "000001") is None
    assert len(list(folder.glob("000001.*-*"))) == 1, "its own is gone"


def test_sweeping_takes_nothing_from_the_living(folder: Path) -> None:
    one = claim(folder, "000001")
    assert one
    with scratch_folder(folder, "record") as scratch:
        left = killed(folder, "000002")
        (folder / "000003").mkdir()
        (folder / "000003.lock").touch()
        sweep(folder)
        os.wait()
        assert not left.exists()
        assert {path.name for path in folder.iterdir()} == {one.scratch.name, "000001.lock", scratch.name}
    one.release()
    assert not folder.exists()


def test_only_one_at_a_time_is_in_an_exclusive_block(folder: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        for _ in range(10):
            with exclusive(folder, "turn"):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.remove(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 40


def test_a_claim_is_renewed_while_it_is_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foresight_cache.runtime.renewal.RENEWAL_SECONDS", 0.01)
    one = claim(folder, "000001")
    assert one
    os.utime(one.scratch, (0, 0))
    with renewed(one):
        deadline = time.monotonic() + 10
        while one.scratch.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    one.scratch.rmdir()
    assert not one.renew(), "it was taken for a dead one's"
    one.release()
