"""Files that are there whole or not at all, even after a loss of power."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PARTIAL = ".partial"
"""Suffix of a file that is being written, whose name begins with a dot; such a file is never read."""


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


def publish(partial: Path, path: Path) -> None:
    """Gives a file that is whole and durable its final name, durably, in a folder that need not exist yet."""
    make_folder(path.parent)
    partial.rename(path)
    _sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Makes a folder and all above it durably: a file is lost with the name of any folder that it lies in."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
