"""A digest is remembered only for the very bytes that it was taken of."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foresight_cache.encoders.weights import digest_cache, model_files
from foresight_cache.records import with_digest

Reads = Callable[[], int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of a few kilobytes count as large, and as settled at once."""
    monkeypatch.setenv(digest_cache.HOME, str(tmp_path / "home"))
    monkeypatch.setattr(digest_cache, "BLOCK", 16)
    monkeypatch.setattr(digest_cache, "SMALL", 4096)
    monkeypatch.setattr(digest_cache, "SETTLED_SECONDS", -1.0)
    return tmp_path / "home"


@pytest.fixture
def whole_reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Returns how often files were read whole since the last call."""
    seen: list[Path] = []
    read = digest_cache._digest_of_all

    def counted(path: Path) -> str:
        seen.append(path)
        return read(path)

    def count() -> int:
        number = len(seen)
        seen.clear()
        return number

    monkeypatch.setattr(digest_cache, "_digest_of_all", counted)
    return count


def weights(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(hashlib.shake_128(str(seed).encode()).digest(50_000))
    return path


def truth(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def only_memo(home: Path) -> Path:
    (memo,) = (home / "weights").iterdir()
    return memo


def test_the_second_time_a_sample_is_read(home: Path, tmp_path: Path, whole_reads: Reads) -> None:
    file = weights(tmp_path / "m/model.safetensors", 1)
    assert digest_cache.file_digest(file) == truth(file)
    assert whole_reads() == 1
    assert digest_cache.file_digest(file) == truth(file)
    assert whole_reads() == 0
    assert [path.name for path in file.parent.iterdir()] == ["model.safetensors"], "nothing beside the model"


def test_a_small_file_is_digested_each_time(home: Path, tmp_path: Path, whole_reads: Reads) -> None:
    (tmp_path / "small").write_bytes(bytes(4096))
    digest_cache.file_digest(tmp_path / "small")
    digest_cache.file_digest(tmp_path / "small")
    assert whole_reads() == 2
    assert not home.exists()


def test_a_rewritten_file_of_the_same_size_and_time(home: Path, tmp_path: Path, whole_reads: Reads) -> None:
    """One byte between the blocks of the sample, so that only the kernel's change time tells."""
    file = weights(tmp_path / "model.safetensors", 1)
    before, status = digest_cache.file_digest(file), file.stat()
    blocks = digest_cache._digest_of_blocks(file, status.st_size)
    with file.open("r+b") as stream:
        stream.seek(400)
        stream.write(b"\0\1\2")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    now = file.stat()
    assert (now.st_ino, now.st_size, now.st_mtime_ns) == (status.st_ino, status.st_size, status.st_mtime_ns)
    assert digest_cache._digest_of_blocks(file, now.st_size) == blocks, "the sample alone would not tell"
    assert digest_cache.file_digest(file) == truth(file) != before
    assert whole_reads() == 2


def test_a_change_that_no_time_shows(home: Path, tmp_path: Path) -> None:
    """A record whose times are those of the file, as where the clock was turned back: the blocks differ."""
    file = weights(tmp_path / "model.safetensors", 1)
    digest_cache.file_digest(file)
    weights(file, 2)
    memo = only_memo(home)
    record = json.loads(memo.read_bytes())
    record |= {name: getattr(file.stat(), f"st_{name}") for name in ("mtime_ns", "ctime_ns")}
    del record["sha256"]
    memo.write_text(json.dumps(with_digest(record)))
    assert digest_cache.file_digest(file) == truth(file)


def test_two_files_that_change_places(home: Path, tmp_path: Path) -> None:
    one, two = weights(tmp_path / "m/model-1.safetensors", 1), weights(tmp_path / "m/model-2.safetensors", 2)
    before = model_files.weights_digest(tmp_path / "m")
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    assert [digest_cache.file_digest(file) for file in (one, two)] == [truth(one), truth(two)]
    assert model_files.weights_digest(tmp_path / "m") != before


def test_a_snapshot_of_links_into_blobs(home: Path, tmp_path: Path, whole_reads: Reads) -> None:
    """Links names to blobs as a hub's cache does; another revision links the same names to other blobs."""
    old, new = weights(tmp_path / "hub/blobs/aa", 1), weights(tmp_path / "hub/blobs/bb", 2)
    link = tmp_path / "hub/snapshots/c0ffee/model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(Path("../../blobs/aa"))
    digests = [model_files.weights_digest(link.parent) for _ in range(2)]
    assert whole_reads() == 1
    assert digest_cache.file_digest(link) == truth(old)
    link.unlink()
    link.symlink_to(Path("../../blobs/bb"))
    assert digest_cache.file_digest(link) == truth(new)
    assert model_files.weights_digest(link.parent) not in digests
    copy = tmp_path / "plain/model.safetensors"
    copy.parent.mkdir()
    copy.write_bytes(old.read_bytes())
    assert digests == [model_files.weights_digest(copy.parent)] * 2, "where a file lies is not what it is"


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "flipped", "foreign", "no digest", "a folder", "other format"]
)
def test_a_damaged_memo_is_ignored_and_mended(home: Path, tmp_path: Path, whole_reads: Reads, damage: str) -> None:
    file = weights(tmp_path / "model.safetensors", 1)
    digest_cache.file_digest(file)
    memo = only_memo(home)
    text = memo.read_text()
    body = {name: value for name, value in json.loads(text).items() if name != "sha256"}
    wrong = "0" * 64
    if damage == "a folder":
        memo.unlink()
        memo.mkdir()
    else:
        memo.write_text(
            {
                "truncated": text[:-20],
                "empty": "",
                "flipped": text.replace(truth(file), wrong),
                "foreign": '[{"digest": "x"}]',
                "no digest": json.dumps(with_digest({name: body[name] for name in body if name != "digest"})),
                "other format": json.dumps(with_digest({**body, "format": 2, "digest": wrong})),
            }[damage]
        )
    whole_reads()
    assert digest_cache.file_digest(file) == truth(file)
    assert whole_reads() == 1
    if damage != "a folder":
        assert memo.read_text() == text
    assert [path.name for path in memo.parent.iterdir()] == [memo.name], "no temporary file is left"


def test_a_place_that_cannot_be_written(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = weights(tmp_path / "model.safetensors", 1)
    (tmp_path / "file").touch()
    monkeypatch.setenv(digest_cache.HOME, str(tmp_path / "file"))
    assert digest_cache.file_digest(file) == truth(file)
    monkeypatch.delenv(digest_cache.HOME)
    monkeypatch.setattr(digest_cache, "folder", lambda: None)
    assert digest_cache.file_digest(file) == truth(file)


def test_a_folder_without_permission(home: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    file = weights(tmp_path / "model.safetensors", 1)
    (home / "weights").mkdir(parents=True)
    (home / "weights").chmod(0o500)
    assert digest_cache.file_digest(file) == truth(file)
    assert not list((home / "weights").iterdir())


def test_a_file_that_was_just_written_is_not_remembered(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_reads: Reads
) -> None:
    """Within one tick of the clock a second write would leave all times as they are."""
    monkeypatch.setattr(digest_cache, "SETTLED_SECONDS", 60.0)
    file = weights(tmp_path / "model.safetensors", 1)
    digest_cache.file_digest(file)
    digest_cache.file_digest(file)
    assert whole_reads() == 2
    assert not home.exists()


def test_a_file_that_changes_under_the_digest_is_not_remembered(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = weights(tmp_path / "model.safetensors", 1)
    read = digest_cache._digest_of_all

    def changing(path: Path) -> str:
        computed = read(path)
        with path.open("r+b") as stream:
            stream.write(b"new")
        return computed

    monkeypatch.setattr(digest_cache, "_digest_of_all", changing)
    digest_cache.file_digest(file)
    assert not home.exists()


def test_many_at_once(home: Path, tmp_path: Path) -> None:
    files = [weights(tmp_path / f"m/{number}.safetensors", number) for number in range(3)] * 20
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(digest_cache.file_digest, files)) == [truth(file) for file in files]
    memos = list((home / "weights").iterdir())
    assert len(memos) == 3
    assert all(memo.suffix == ".json" for memo in memos)


def test_the_home_directory_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(digest_cache.HOME, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert digest_cache.folder() == tmp_path / ".cache/foresight/weights"


READ = """
import sys, time
from pathlib import Path
from foresight_cache.encoders.weights import digest_cache, model_files
digest_cache.SETTLED_SECONDS = -1.0
def read():
    return int(Path("/proc/self/io").read_text().split()[1])
before = read()
digest = model_files.weights_digest(Path(sys.argv[1]))
print(digest, read() - before)
"""


def test_the_second_start_reads_less_than_a_twentieth(tmp_path: Path) -> None:
    """Two processes and the kernel's own count of bytes read; the model is two sparse files of 200 MB."""
    if not os.access("/proc/self/io", os.R_OK):
        pytest.skip("no /proc/self/io here, which counts the bytes that a process reads")
    for number in (1, 2):
        (tmp_path / f"model-{number}.safetensors").touch()
        os.truncate(tmp_path / f"model-{number}.safetensors", 200_000_000 + number)
    environment = {**os.environ, digest_cache.HOME: str(tmp_path / "home")}
    command = [sys.executable, "-c", READ, str(tmp_path)]
    starts = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    (first, read_at_first), (second, read_then) = (start.stdout.split() for start in starts)
    assert first == second
    assert int(read_at_first) > 400_000_000
    assert int(read_then) < 0.05 * 400_000_000
