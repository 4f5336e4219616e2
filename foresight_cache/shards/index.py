"""The index of a prepared dataset: written last, so that its presence is completion."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from foresight_cache.errors import ShardError
from foresight_cache.fingerprint import digest
from foresight_cache.runtime.durable_files import replacing
from foresight_cache.shards.shard_set import AGAIN, Quarantined, ShardInfo, ShardSet, check_size, shard_name

FORMAT_VERSION = 1
INDEX = "index.json"
UNFINISHED = "unfinished"
"""File that lies in a folder from the start of its preparation to the index."""


def write_index(shard_set: ShardSet) -> None:
    """Make the written tars a dataset. After this the set is complete, and nothing of it is written again."""
    body = {
        "format": FORMAT_VERSION,
        "dataset": shard_set.dataset,
        "manifest": dict(shard_set.manifest),
        "manifest_sha256": shard_set.manifest_digest,
        "samples_per_shard": shard_set.samples_per_shard,
        "request": dict(shard_set.request),
        "source_sha256": shard_set.source,
        "shards": [_shard_json(shard) for shard in shard_set.shards],
        "quarantined": [asdict(each) for each in shard_set.quarantined],
        "counts": _counts(shard_set),
    }
    text = json.dumps({**body, "sha256": digest(body)}, ensure_ascii=False, indent=1)
    with replacing(shard_set.path / INDEX) as file:
        file.write(text.encode() + b"\n")


def open_shards(path: str | os.PathLike[str]) -> ShardSet:
    """The prepared dataset in a folder; the tars are there and of the right size, but not yet read.

    Raises `ShardError` where there is none, where it is unfinished or of another format version, where the index
    is not what was written, or where a tar is missing or of another size.
    """
    folder = Path(path)
    index = folder / INDEX
    if not index.is_file():
        raise ShardError(_why_no_index(folder))
    try:
        record = json.loads(index.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{index} is not JSON ({error}); run 'foresight prepare' into a new folder") from None
    shard_set = _from_index(record, folder)
    for shard in shard_set.shards:
        check_size(folder / shard.name, shard)
    return shard_set


def _counts(shard_set: ShardSet) -> dict[str, int]:
    return {
        "samples": shard_set.samples,
        "shards": len(shard_set.shards),
        "bytes": shard_set.size,
        "quarantined": len(shard_set.quarantined),
    }


def _shard_json(shard: ShardInfo) -> dict[str, Any]:
    return {
        "name": shard.name,
        "bytes": shard.size,
        "sha256": shard.sha256,
        "ids": list(shard.ids),
    }


def _why_no_index(folder: Path) -> str:
    if not folder.exists():
        return f"there are no shards at {folder}; make them with 'foresight prepare DATASET --out {folder}'"
    if folder.is_dir() and ((folder / UNFINISHED).exists() or (folder / shard_name(0)).exists()):
        return f"{folder} is not finished: it has no {INDEX} yet; run the same 'foresight prepare' again"
    return f"{folder} holds no prepared shards: it has no {INDEX}; expected a folder made by 'foresight prepare'"


def _from_index(record: Any, folder: Path) -> ShardSet:
    place = folder / INDEX
    if not isinstance(record, dict) or "format" not in record or "shards" not in record:
        raise ShardError(f"{place} is not an index of shards; expected a folder made by 'foresight prepare'")
    if record["format"] != FORMAT_VERSION:
        raise ShardError(
            f"{place} has format version {record['format']!r}, this program reads {FORMAT_VERSION}; {AGAIN}"
        )
    body = {key: value for key, value in record.items() if key != "sha256"}
    if _digest_of(body) != record.get("sha256"):
        raise ShardError(f"{place} was changed after it was written: its own digest does not match; {AGAIN}")
    try:
        shard_set = _shard_set(body, folder)
        sound = _is_sound(shard_set) and body["counts"] == _counts(shard_set)
    except (KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise ShardError(f"{place} contradicts itself; {AGAIN}")
    return shard_set


def _digest_of(body: Mapping[str, Any]) -> str:
    try:
        return digest(body)
    except ValueError:  # JSON that has no canonical form, such as NaN
        return ""


def _shard_set(body: Mapping[str, Any], folder: Path) -> ShardSet:
    return ShardSet(
        path=folder,
        dataset=body["dataset"],
        manifest=body["manifest"],
        manifest_digest=body["manifest_sha256"],
        samples_per_shard=body["samples_per_shard"],
        request=body["request"],
        source=body["source_sha256"],
        shards=tuple(
            ShardInfo(
                name=each["name"],
                size=each["bytes"],
                sha256=each["sha256"],
                ids=tuple(each["ids"]),
            )
            for each in body["shards"]
        ),
        quarantined=tuple(Quarantined(id=each["id"], reason=each["reason"]) for each in body["quarantined"]),
    )


def _is_sound(shard_set: ShardSet) -> bool:
    """Whether an index says what a preparation writes; its digest tells of accidents, this of forgery."""
    ids = [each for shard in shard_set.shards for each in shard.ids]
    full = [len(shard.ids) == shard_set.samples_per_shard for shard in shard_set.shards[:-1]]
    return (
        bool(shard_set.shards)
        and isinstance(shard_set.manifest, dict)
        and shard_set.manifest.get("media", "image") in ("image", "clip")
        and all(isinstance(each, str) for each in (shard_set.dataset, shard_set.manifest_digest, shard_set.source))
        and type(shard_set.samples_per_shard) is int
        and isinstance(shard_set.request, dict)
        and all(isinstance(value, str | int | list) for value in shard_set.request.values())
        and all(type(shard.size) is int and isinstance(shard.sha256, str) for shard in shard_set.shards)
        and all(shard.name == shard_name(number) for number, shard in enumerate(shard_set.shards))
        and all(full)
        and 0 < len(shard_set.shards[-1].ids) <= shard_set.samples_per_shard
        and all(isinstance(each, str) for each in ids)
        and all(isinstance(each.reason, str) and isinstance(each.id, str) for each in shard_set.quarantined)
        and len(set(ids)) == len(ids)
    )
