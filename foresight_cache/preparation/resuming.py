"""The folder that a preparation writes: who may write it, what an interrupted one left, and how it goes on from there.

OUT/unfinished              there from the start to the index, and locked while somebody prepares
OUT/shard-000000.tar        whole, as it takes its name last
OUT/shard-000000.done       what the shard holds and how many records it took; gone once there is an index
"""

import fcntl
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

from foresight_cache.errors import ForesightError, ShardError, UsageError
from foresight_cache.records import canonical_json, checked_digest, parse_json, with_digest
from foresight_cache.runtime.durable_files import PARTIAL, write_file
from foresight_cache.shards import Quarantined, ShardInfo
from foresight_cache.shards.index import INDEX, UNFINISHED
from foresight_cache.shards.shard_set import shard_name

RAW = "raw"
"""Folder inside the unfinished shards where a synthetic set is drawn, to be gone with them."""
_OURS = re.compile(rf"(shard-\d{{6}}\.(tar|done)|{re.escape(INDEX)})(\.[0-9a-f]+{re.escape(PARTIAL)})?")
"""What a preparation writes beside the index; all that a new start may remove."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A shard that is written, and where the next one begins."""

    shard: ShardInfo | None
    """None where only records that could not be used came after the last shard."""
    quarantined: tuple[Quarantined, ...]
    """Records that could not be used, between the last shard's last sample and this one's."""
    records: int
    """Records that this shard and those before it took."""


def refuse_foreign(out: Path) -> None:
    """Raises `UsageError` where the folder holds something that no preparation wrote."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder; choose a new folder for --out")
    if not out.is_dir() or (out / INDEX).exists() or (out / UNFINISHED).exists():
        return
    names = sorted(path.name for path in islice(out.iterdir(), 20))
    if names:
        listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise UsageError(f"{out} already holds something else ({listed}); choose a new or empty folder for --out")


@contextmanager
def unfinished(out: Path) -> Iterator[None]:
    """The folder, marked as unfinished and locked.

    Where the block is interrupted, or the disk fails, shards that are done stay, so that the same request goes on
    from there; where it is refused, or nothing is done, all that it wrote goes, and the folder if it was made here.
    """
    existed = out.is_dir()
    out.mkdir(parents=True, exist_ok=True)
    marker = out / UNFINISHED
    with marker.open("ab") as file:
        _lock(file.fileno(), out)
        try:
            yield
        except BaseException as error:
            shutil.rmtree(out / RAW, ignore_errors=True)
            if isinstance(error, ForesightError) or not _done_path(out, 0).exists():
                clear(out, keep=0)
                marker.unlink(missing_ok=True)
                if not existed:
                    with suppress(OSError):  # somebody else put something there
                        out.rmdir()
            raise
        for path in out.glob("shard-*.done"):
            path.unlink()
        marker.unlink(missing_ok=True)


def note(out: Path, number: int, done: Done, identity: str) -> None:
    """Keep in mind that a shard is done, for a request of this identity."""
    body = {"identity": identity, **asdict(done)}
    write_file(_done_path(out, number), canonical_json(with_digest(body)), durable=False)


def recalled(out: Path, identity: str) -> list[Done]:
    """The shards that an interrupted preparation of the same identity has done, up to the first that is not whole."""
    found: list[Done] = []
    for number in count():
        done = _read(_done_path(out, number), identity)
        path = out / shard_name(number)
        if done is None or done.shard is None or not path.is_file() or path.stat().st_size != done.shard.size:
            return found
        found.append(done)
    return found


def clear(out: Path, *, keep: int) -> None:
    """Remove what a preparation wrote, but for the first so many shards; nothing once there is an index."""
    if (out / INDEX).exists():
        return
    kept = {name for number in range(keep) for name in (shard_name(number), _done_path(out, number).name)}
    for path in out.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in kept:
            path.unlink()


def _read(path: Path, identity: str) -> Done | None:
    """None where the note is not there, not whole, or of another request."""
    try:
        body = checked_digest(parse_json(path.read_bytes()))
        if body["identity"] != identity:
            return None
        return Done(
            shard=ShardInfo(**{name: _tuples(value) for name, value in body["shard"].items()}),
            quarantined=tuple(Quarantined(**each) for each in body["quarantined"]),
            records=body["records"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _done_path(out: Path, number: int) -> Path:
    return (out / shard_name(number)).with_suffix(".done")


def _lock(descriptor: int, out: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ShardError(f"another process is preparing into {out}; wait for it or choose another --out") from None
    except OSError:
        pass  # some network file systems have no locks; two writers then write the same bytes
