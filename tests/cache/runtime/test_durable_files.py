"""Files that appear whole or not at all."""

import os
import threading
from pathlib import Path

import pytest

from foresight_cache.runtime.durable_files import make_passing_folder, publish, replacing, write_file


def test_a_file_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    for data in (b"older", b"newer"):
        write_file(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("durable", [True, False])
def test_until_it_is_whole_the_older_one_is_there(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"older")
    with replacing(path, durable=durable) as file:
        file.write(b"newer")
        file.flush()
        assert path.read_bytes() == b"older"
        others = [other.name for other in tmp_path.iterdir() if other != path]
        assert all(name.startswith(".file.") for name in others), "what a kill leaves is hidden"
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_older_one_alone(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"older")
    with pytest.raises(type(failure)), replacing(path) as file:
        file.write(b"half of the new")
        raise failure
    assert path.read_bytes() == b"older"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_fills_up_at_the_last_moment_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "file", b"new")
    assert not list(tmp_path.iterdir())


def test_many_may_write_the_same_file(tmp_path: Path) -> None:
    """Each writes megabytes of its own letter in pieces; whoever is last, no letters are mixed."""

    def write(letter: bytes) -> None:
        with replacing(tmp_path / "file", durable=False) as file:
            for _ in range(64):
                file.write(letter * (1 << 14))

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = (tmp_path / "file").read_bytes()
    assert len(data) == 1 << 20
    assert len(set(data)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_folders_are_made_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(b"whole")
    publish(tmp_path / "partial", tmp_path / "a/b/file")
    assert (tmp_path / "a/b/file").read_bytes() == b"whole"
    assert not (tmp_path / "partial").exists()


def test_a_folder_that_others_remove_just_when_it_is_found_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def there(path: Path, *_: object) -> None:
        raise FileExistsError(17, "File exists", str(path))

    monkeypatch.setattr(os, "mkdir", there)
    make_passing_folder(tmp_path / "claims")
