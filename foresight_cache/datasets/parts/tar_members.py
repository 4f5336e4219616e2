"""Lists the members of a tar, whose bytes stay where they are.

Python's `tarfile`, and the readers that use it, take a tar that is cut off or damaged for one that ends there, and do
not see what follows its end. Here that is an error.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from foresight_cache.datasets.file_parts import FilePart
from foresight_cache.errors import DatasetError
from foresight_cache.shards.tar_reading import BoundedFile

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 16
"""Bytes after the end of a tar that are looked at together."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """Member of a tar that is no folder."""

    name: str
    content: FilePart | None
    """Its bytes; None of a link, a sparse file and other members that hold none of their own."""


def members_of(path: Path) -> Iterator[TarMember]:
    """Yields the members of a tar in order, folders left out; each lies within the tar.

    Raises `DatasetError` for a tar that is cut off, damaged, or holds more after its end.
    """
    last = ""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            with tarfile.open(fileobj=cast(IO[bytes], BoundedFile(file, size)), mode="r:") as tar:
                while (member := tar.next()) is not None:
                    tar.members = []  # type: ignore[attr-defined]  # they would all be kept
                    last = member.name
                    if not member.isdir():
                        plain = member.isreg() and not member.issparse()
                        part = FilePart(path, member.name, member.offset_data, member.size) if plain else None
                        yield TarMember(member.name, part)
                end = tar.offset
            _check_end(file, path, end, size, last)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        where = f", after the member {last!a}" if last else ""
        raise DatasetError(f"{path} is not a whole tar: {error}{where}; get it again") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None


def _check_end(file: IO[bytes], path: Path, end: int, size: int, last: str) -> None:
    """Raises `DatasetError` where a tar does not end in zeros alone from the byte `end` on."""
    file.seek(end)
    block = file.read(_BLOCK)
    where = f"after the member {last!a}" if last else "at its start"
    if len(block) < _BLOCK:
        raise DatasetError(
            f"{path} has no end: it is cut off {where}, at byte {size:,}, or what wrote it was not closed; get it again"
        )
    if any(block):
        raise DatasetError(f"{path} is damaged {where}: there is no header at byte {end:,}; get it again")
    while chunk := file.read(_CHUNK):
        if any(chunk):
            raise DatasetError(
                f"{path} holds more after its end, as tars do that were joined, and no reader of tars sees that; "
                "unpack it with --ignore-zeros and pack it again"
            )
