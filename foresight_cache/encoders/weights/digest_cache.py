"""Digests of large files, remembered from one start to the next.

Hashing the weights of a 7B model takes tens of seconds, at every start of every worker. A digest is remembered
together with what identifies the bytes that it was taken of, and believed only while all of that still holds:

* device, inode, size, modification time and **change time**. The first four can be set at will (`os.utime`, a copy
  over the file); the change time is set by the kernel alone, and any write, rename or `utime` moves it;
* a digest over blocks spread evenly over the file, read again each time: 4 MiB, first and last block included.

The records lie in `$FORESIGHT_CACHE_HOME/weights`, or else in `~/.cache/foresight/weights`, never beside the model,
which may be read-only or shared. A record that is missing, damaged or cannot be written costs one digest more.
"""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from foresight_cache.records import canonical_json, checked_digest, digest, parse_json, with_digest
from foresight_cache.runtime.durable_files import write_file

HOME = "FORESIGHT_CACHE_HOME"
"""Environment variable that names the folder of what is remembered between runs."""
FORMAT_VERSION = 1
BLOCK = 64 * 1024
"""Bytes of a block of the sample."""
BLOCKS = 64
"""Blocks of the sample, the first and the last of the file among them."""
SMALL = 25 * BLOCK * BLOCKS
"""Bytes up to which a file is simply read whole: 100 MiB, a fraction of a second."""
SETTLED_SECONDS = 2.0
"""Seconds for which a file must have been left alone: a second write within one tick of the clock would not show."""


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal, without reading all of a large file that has not changed.

    Raises `OSError` where the file cannot be read.
    """
    before = path.stat()
    if before.st_size <= SMALL:
        return _digest_of_all(path)
    begun = time.time()
    identity = {**_identity(path, before), "blocks": _digest_of_blocks(path, before.st_size)}
    memo = _memo(identity)
    if memo and (known := _known_digest(memo, identity)):
        return known
    computed = _digest_of_all(path)
    settled = before.st_ctime < begun - SETTLED_SECONDS
    if memo and settled and _identity(path, path.stat()) == _identity(path, before):
        _remember(memo, {**identity, "format": FORMAT_VERSION, "digest": computed})
    return computed


def folder() -> Path | None:
    """Returns the folder of remembered digests; None where there is neither the variable nor a home directory."""
    if named := os.environ.get(HOME):
        return Path(named) / "weights"
    try:
        return Path.home() / ".cache" / "foresight" / "weights"
    except RuntimeError:
        return None


def _identity(path: Path, status: os.stat_result) -> dict[str, Any]:
    """Returns what tells one state of one file from all others, as far as the filesystem knows."""
    return {
        "path": os.fsencode(os.path.realpath(path)).decode(errors="backslashreplace"),
        "device": status.st_dev,
        "inode": status.st_ino,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
    }


def _memo(identity: dict[str, Any]) -> Path | None:
    """Returns the record's path; it differs between machines that share a home but number devices differently."""
    home = folder()
    return home / f"{digest([identity[name] for name in ('path', 'device', 'inode')])}.json" if home else None


def _known_digest(memo: Path, identity: dict[str, Any]) -> str | None:
    """Returns the remembered digest, if it is of these very bytes."""
    try:
        record = checked_digest(parse_json(memo.read_bytes()))
    except (OSError, ValueError):
        return None
    remembered = record.pop("digest", None)
    is_same = record == {**identity, "format": FORMAT_VERSION}
    return remembered if isinstance(remembered, str) and is_same else None


def _remember(memo: Path, record: dict[str, Any]) -> None:
    """Keeps a record; one that cannot be written is passed over."""
    with suppress(OSError):
        memo.parent.mkdir(parents=True, exist_ok=True)
        write_file(memo, canonical_json(with_digest(record)), durable=False)


def _digest_of_all(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_blocks(path: Path, size: int) -> str:
    """Returns the SHA-256 over evenly spaced blocks."""
    total = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for number in range(BLOCKS):
            total.update(os.pread(file.fileno(), BLOCK, number * (size - BLOCK) // (BLOCKS - 1)))
    return total.hexdigest()
