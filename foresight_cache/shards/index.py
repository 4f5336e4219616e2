"""The index of a prepared dataset, written last: where it is, the set is complete."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from foresight_cache.errors import ShardError
from foresight_cache.records import JsonObject, checked_digest, parse_json, with_digest
from foresight_cache.runtime.durable_files import write_file
from foresight_cache.samples import MEDIA
from foresight_cache.shards.shard_set import AGAIN, Quarantined, ShardInfo, ShardSet, check_size, shard_name

FORMAT_VERSION = 1
INDEX = "index.json"
UNFINISHED = "unfinished"
"""File that lies in a folder from the start of its preparation to the index."""


def write_index(shard_set: ShardSet) -> None:
    """Makes the written tars a dataset: after this the set is complete, and nothing of it is written again."""
    body = {
        "format": FORMAT_VERSION,
        "dataset": shard_set.dataset,
        "manifest": dict(shard_set.manifest),
        "manifest_sha256": shard_set.manifest_digest,
        "samples_per_shard": shard_set.samples_per_shard,
        "request": dict(shard_set.request),
        "source_sha256": shard_set.source,
        "shards": [_shard_json(shard) for shard in shard_set.shards],
        "quarantined": [asdict(sample) for sample in shard_set.quarantined],
        "counts": _counts(shard_set),
    }
    text = json.dumps(with_digest(body), ensure_ascii=False, indent=1)
    write_file(shard_set.path / INDEX, text.encode() + b"\n")


def open_shards(path: str | os.PathLike[str]) -> ShardSet:
    """Returns the prepared dataset in a folder; the tars are there and of the right size, but not yet read.

    Raises `ShardError` where there is none, where it is unfinished or of another format version, where the index
    is not what was written, or where a tar is missing or of another size.
    """
    folder = Path(path)
    index = folder / INDEX
    if not index.is_file():
        raise ShardError(_why_no_index(folder))
    body = _body(index)
    try:
        shard_set = _shard_set(JsonObject.of(body, "index"), folder)
    except ValueError as error:
        raise ShardError(f"{index} contradicts itself: {error}; {AGAIN}") from None
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


def _body(index: Path) -> dict[str, Any]:
    """Returns what an index of this format says, if it is what was written."""
    try:
        record = parse_json(index.read_bytes())
    except ValueError as error:
        raise ShardError(f"{index} {error}; run 'foresight prepare' into a new folder") from None
    if not isinstance(record, dict) or "format" not in record or "shards" not in record:
        raise ShardError(f"{index} is not an index of shards; expected a folder made by 'foresight prepare'")
    if record["format"] != FORMAT_VERSION:
        raise ShardError(
            f"{index} has format version {record['format']!r}, this program reads {FORMAT_VERSION}; {AGAIN}"
        )
    try:
        return checked_digest(record)
    except ValueError as error:
        raise ShardError(f"{index} {error}; {AGAIN}") from None


def _shard_set(index: JsonObject, folder: Path) -> ShardSet:
    """Takes an index apart: its digest tells of accidents, this of forgery."""
    samples_per_shard = index.integer("samples_per_shard", 1)
    shard_set = ShardSet(
        path=folder,
        dataset=index.text("dataset"),
        manifest=_manifest(index),
        manifest_digest=index.digest("manifest_sha256"),
        samples_per_shard=samples_per_shard,
        request=_request(index),
        source=index.digest("source_sha256"),
        shards=_shards(index, samples_per_shard),
        quarantined=tuple(
            Quarantined(id=sample.text("id"), reason=sample.text("reason")) for sample in index.objects("quarantined")
        ),
    )
    _check_counts(index, _counts(shard_set))
    return shard_set


def _check_counts(index: JsonObject, counts: Mapping[str, int]) -> None:
    stated = index.inner("counts", counts)
    for name, count in counts.items():
        if stated.integer(name) != count:
            raise stated.wrong(name, f"{count}, as the rest of the index has")


def _manifest(index: JsonObject) -> Mapping[str, Any]:
    manifest = index.inner("manifest")
    if "media" in manifest.values:
        manifest.choice("media", MEDIA)
    return manifest.values


def _request(index: JsonObject) -> Mapping[str, Any]:
    request = index.inner("request")
    for name, value in request.values.items():
        if not isinstance(value, str | int | list):
            raise request.wrong(name, "a text, an integer or a list")
    return request.values


def _shards(index: JsonObject, samples_per_shard: int) -> tuple[ShardInfo, ...]:
    """Returns the shards, all of which but the last are full; no sample is in two places."""
    entries = index.objects("shards")
    if not entries:
        raise index.wrong("shards", "one shard or more")
    shards = []
    for number, entry in enumerate(entries):
        name = entry.choice("name", (shard_name(number),))
        least = 1 if entry is entries[-1] else samples_per_shard
        ids = _ids(entry, least, samples_per_shard)
        shards.append(ShardInfo(name=name, size=entry.integer("bytes"), sha256=entry.digest("sha256"), ids=ids))
    seen: set[str] = set()
    for entry, shard in zip(entries, shards, strict=True):
        before = len(seen)
        seen.update(shard.ids)
        if len(seen) != before + len(shard.ids):
            raise ValueError(f"{entry.path}.ids has a sample twice, or one that an earlier shard has")
    return tuple(shards)


def _ids(shard: JsonObject, least: int, most: int) -> tuple[str, ...]:
    ids = shard.items("ids")
    if not least <= len(ids) <= most:
        expected = f"{most}" if least == most else f"{least} to {most}"
        raise ValueError(f"{shard.path}.ids has {len(ids)} samples, expected {expected}")
    if not all(isinstance(sample, str) for sample in ids):
        raise shard.wrong("ids", "texts alone")
    return tuple(ids)
