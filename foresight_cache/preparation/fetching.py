"""Fetches tars that are no files here: the output of programs (`pipe:…`), and objects of a store (`s3://…`).

They are kept while they are packed, as a sample may be read at any place and in any order. A program is run only where
the root that the caller gives begins with `pipe:`; no manifest and no file name can begin one.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.datasets.parts.tar_sets import expanded, fixed_folder
from foresight_cache.errors import CacheError, DatasetError
from foresight_cache.format.stores import open_store

_CHUNK = 8 << 20
"""Bytes that are read at a time."""
_PIPE = "pipe:"
_MOST = 3
"""Names that a sentence lists."""


def fetch_tars(address: str, folder: Path) -> None:
    """Writes the tars that an address stands for into a folder. Raises `DatasetError` where one cannot be had whole."""
    shutil.rmtree(folder, ignore_errors=True)
    if address.startswith(_PIPE):
        _run_programs(expanded(address), folder)
    else:
        _copy_objects(address, folder)


def _run_programs(commands: Sequence[str], folder: Path) -> None:
    from webdataset.gopen import gopen

    for number, command in enumerate(commands):
        if not command.startswith(_PIPE):
            raise DatasetError(f"{command} is no program, but others of the same root are; give all with 'pipe:'")
        try:
            with gopen(command) as stream:
                size = _write(folder / f"{number:06d}.tar", _blocks(stream))
        except OSError as error:
            exit_status = re.search(r"exit -?\d+", str(error))
            raise DatasetError(
                f"{command!r} failed: {exit_status[0] if exit_status else error}; try the program by itself"
            ) from None
        if not size:
            raise DatasetError(f"{command!r} wrote nothing, expected a tar")


def _blocks(stream: Any) -> Iterator[bytes]:
    while block := stream.read(_CHUNK):
        yield block


def _copy_objects(address: str, folder: Path) -> None:
    place, names, sizes = _found(address)
    if missing := [name for name in names if name not in sizes]:
        listed = ", ".join(missing[:_MOST]) + (", …" if len(missing) > _MOST else "")
        raise DatasetError(
            f"{len(missing):,} of the {len(names):,} tars that {address} names are missing: {listed}; put them there, "
            "or name those that are"
        )
    store = open_store(place)
    for name in names:
        try:
            size, read = store.ranges(name)
            starts = range(0, size, _CHUNK)
            blocks = (bytes(read(start, min(start + _CHUNK, size))) for start in starts)
            if _write(folder / name, blocks) != size:
                raise DatasetError(f"{place}/{name} ended before its {size:,} bytes were read; try again")
        except (OSError, CacheError) as error:
            raise DatasetError(f"{place}/{name} cannot be read: {error}") from None


def _found(address: str) -> tuple[str, list[str], dict[str, int]]:
    """Returns the place of the tars of an address, their names below it, and the sizes of all objects there by name."""
    if "{" in address or address.endswith(".tar"):
        start = fixed_folder(address)
        names = [name.removeprefix(start) for name in expanded(address)]
    else:
        start, names = address, []
    place = start.rstrip("/")
    try:
        sizes = open_store(place).sizes()
    except (OSError, CacheError) as error:
        raise DatasetError(f"{place} cannot be listed: {error}") from None
    found = names or sorted(name for name in sizes if name.endswith(".tar"))
    if not found:
        raise DatasetError(f"{place} holds no .tar; expected tars, or a pattern such as {place}/{{00000..00099}}.tar")
    return place, found, sizes


def _write(path: Path, blocks: Iterator[bytes]) -> int:
    """Writes blocks into a file as they come, and returns the number of bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        return sum(map(file.write, blocks))
