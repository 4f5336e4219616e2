"""Files that are there whole or not at all, even after a loss of power."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PARTIAL = ".partial"
"""Suffix of a file that is being written, whose name begins with a dot; such a file is never read."""
_BLOCK = 1 << 20
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""Errors of filesystems without hard links, as some in user space are."""


@contextmanager
def replacing(path: Path, *, partial: Path | None = None, durable: bool = True) -> Iterator[IO[bytes]]:
    """Opens a file that takes its name, and the place of an older one, when the block ends without an error.

    It is written under a name of its own beside `path`, or as `partial` on the same filesystem, so that any number of
    processes may write the same file. Without `durable` a loss of power may empty it. Raises `OSError`.
    """
    partial = partial or path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with partial.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if durable:
            publish(partial, path)
        else:
            partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_file(path: Path, data: bytes, *, partial: Path | None = None, durable: bool = True) -> None:
    """Writes a file whole or not at all, as `replacing` does. Raises `OSError`."""
    with replacing(path, partial=partial, durable=durable) as file:
        file.write(data)


def write_new(path: Path, data: bytes) -> None:
    """Writes a file of a new name, which nobody else reads yet, and waits until its bytes are on disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def publish(partial: Path, path: Path) -> None:
    """Gives a file that is whole and durable its final name, durably, in a folder that need not exist yet."""
    make_folder(path.parent)
    partial.rename(path)
    sync(path.parent)


def publish_new(partial: Path, path: Path) -> None:
    """Gives a file that is whole and durable its final name durably, where nothing has that name yet.

    Raises `FileExistsError` where another file has it, and `OSError` of `NO_LINKS` where files cannot have two names.
    """
    make_folder(path.parent)
    try:
        os.link(partial, path)
    except OSError:
        if not _is_same_file(partial, path):  # else it was done all the same: answers of network filesystems get lost
            raise
    sync(path.parent)


def same_bytes(one: Path, other: Path) -> bool:
    """Tells whether two files have the same bytes."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb", buffering=0) as first, other.open("rb", buffering=0) as second:
        while block := first.read(_BLOCK):
            if block != second.read(len(block)):
                return False
        return not second.read(1)


def make_passing_folder(folder: Path, mode: int = 0o777) -> None:
    """Makes a folder that others may remove and make again at any time, in a parent that stays."""
    with suppress(FileExistsError):
        folder.mkdir(mode)  # without `exist_ok`, which looks once more and does not expect that it is gone again


def make_folder(folder: Path) -> None:
    """Makes a folder and all above it durably: a file is lost with the name of any folder that it lies in."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Waits until the bytes of a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except FileNotFoundError:
        return False
