"""Guards the folder that a preparation writes: who may write it, and what an interrupted one left to go on from.

OUT/unfinished              there from the start to the index
OUT/.claims                 there while somebody prepares
OUT/shard-000000.tar        whole, as it takes its name last
OUT/shard-000000.done       what the shard holds and how many samples are listed up to its end
                            gone once there is an index
"""

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
from foresight_cache.runtime.claims import claim
from foresight_cache.runtime.durable_files import PARTIAL, write_file
from foresight_cache.runtime.renewal import renewed
from foresight_cache.shards import Quarantined, ShardInfo
from foresight_cache.shards.index import INDEX, UNFINISHED
from foresight_cache.shards.shard_set import shard_name

CLAIMS = ".claims"
"""Folder of the claim of the process that prepares."""
RAW = "raw"
"""Folder inside the unfinished shards where a synthetic set is drawn, to be gone with them."""
_WHOLE = rf"(shard-\d{{6}}\.(tar|done)|{re.escape(INDEX)})"
_OURS = re.compile(rf"{_WHOLE}|\.{_WHOLE}\.[0-9a-f]+{re.escape(PARTIAL)}")
"""Names of the files that a preparation writes; all that a new start may remove."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedShard:
    """Shard that is written, and the position in the listing where the next one begins."""

    shard: ShardInfo | None
    """None where only samples that could not be used came after the last shard."""
    quarantined: tuple[Quarantined, ...]
    """Samples that could not be used, between the last shard's last sample and this one's."""
    listed: int
    """Number of listed samples up to the end of this shard, usable or not."""


def check_out_folder(out: Path) -> None:
    """Raises `UsageError` where the folder holds something that no preparation wrote."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder; choose a new folder for --out")
    if not out.is_dir() or (out / INDEX).exists() or (out / UNFINISHED).exists():
        return
    names = sorted(path.name for path in islice(out.iterdir(), 20) if path.name != CLAIMS)
    if names:
        listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise UsageError(f"{out} already holds something else ({listed}); choose a new or empty folder for --out")


@contextmanager
def unfinished_folder(out: Path) -> Iterator[None]:
    """Makes the folder, marks it as unfinished and claims it for the block.

    Where the block is interrupted, or the disk fails, finished shards stay, so that the same request goes on from
    there; where it is refused, or no shard is finished, all that it wrote goes, and the folder if it was made here.
    """
    existed = out.is_dir()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with _claimed(out):
            yield from _marked(out)
    except BaseException:
        if not existed:
            with suppress(OSError):  # something is kept there, or somebody else put something there
                out.rmdir()
        raise


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Claims the folder for the block. Raises `ShardError` where another process prepares into it."""
    held = claim(out / CLAIMS, "prepare")
    if held is None:
        raise ShardError(f"another process is preparing into {out}; wait for it or choose another --out")
    try:
        with renewed(held):
            yield
    finally:
        held.release()


def _marked(out: Path) -> Iterator[None]:
    """Marks the folder as unfinished for the block, and removes what is of no use after it."""
    marker = out / UNFINISHED
    marker.touch()
    try:
        yield
    except BaseException as error:
        shutil.rmtree(out / RAW, ignore_errors=True)
        if isinstance(error, ForesightError) or not _note_path(out, 0).exists():
            remove_shards(out, keep=0)
            marker.unlink(missing_ok=True)
        raise
    for path in out.glob("shard-*.done"):
        path.unlink()
    marker.unlink(missing_ok=True)


def write_note(out: Path, number: int, finished: FinishedShard, identity: str) -> None:
    """Writes down that a shard is finished, for a request of this identity."""
    body = {"identity": identity, **asdict(finished)}
    write_file(_note_path(out, number), canonical_json(with_digest(body)), durable=False)


def read_notes(out: Path, identity: str) -> list[FinishedShard]:
    """Returns the shards that an interrupted preparation of this identity finished, up to the first damaged one."""
    shards: list[FinishedShard] = []
    for number in count():
        finished = _read_note(_note_path(out, number), identity)
        path = out / shard_name(number)
        if finished is None or finished.shard is None or not path.is_file():
            break
        if path.stat().st_size != finished.shard.size:
            break
        shards.append(finished)
    return shards


def remove_shards(out: Path, *, keep: int) -> None:
    """Removes what a preparation wrote, but for the first so many shards; nothing once there is an index."""
    if (out / INDEX).exists():
        return
    kept = {name for number in range(keep) for name in (shard_name(number), _note_path(out, number).name)}
    for path in out.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in kept:
            path.unlink()


def _read_note(path: Path, identity: str) -> FinishedShard | None:
    """Returns None where the note is not there, not whole, or of another request."""
    try:
        body = checked_digest(parse_json(path.read_bytes()))
        if body["identity"] != identity:
            return None
        return FinishedShard(
            shard=ShardInfo(**{name: _tuples(value) for name, value in body["shard"].items()}),
            quarantined=tuple(Quarantined(**sample) for sample in body["quarantined"]),
            listed=body["listed"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _note_path(out: Path, number: int) -> Path:
    return (out / shard_name(number)).with_suffix(".done")
