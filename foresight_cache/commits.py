"""The part of the sample table that commits a shard: which objects it has, and one row per sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from foresight_cache.errors import BadSample, CorruptCache
from foresight_cache.fingerprint import canonical_json
from foresight_cache.layout import parse_json, sealed, unsealed
from foresight_cache.samples import Grid, Sample

Status = Literal["ok", "bad"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRow:
    """What the cache knows of one sample besides its features."""

    sample: Sample
    status: Status
    """`bad` samples have no features: they are quarantined."""
    reason: str | None
    """Why a sample is bad."""
    grids: Mapping[str, Grid]
    """By level (`pixel`, `patch`, `merged`); empty for a bad sample."""

    def to_json(self) -> dict[str, Any]:
        return {
            "sample": self.sample.to_json(),
            "status": self.status,
            "reason": self.reason,
            "grids": {level: list(grid) for level, grid in self.grids.items()},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            sample=Sample.from_json(record["sample"]),
            status=record["status"],
            reason=record["reason"],
            grids={level: Grid(*grid) for level, grid in record["grids"].items()},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """One shard, whole."""

    shard: int
    fingerprint_sha256: str
    source_sha256: str
    """SHA-256 of the tar that the shard was made from."""
    objects: Mapping[str, Mapping[str, Any]]
    """By point: `sha256` and `bytes` of the shard object."""
    rows: tuple[SampleRow, ...]
    """In the order of the tar."""

    def to_json(self) -> bytes:
        body = {
            "shard": self.shard,
            "fingerprint_sha256": self.fingerprint_sha256,
            "source_sha256": self.source_sha256,
            "objects": self.objects,
            "rows": [row.to_json() for row in self.rows],
        }
        return canonical_json(sealed(body))

    @classmethod
    def from_json(cls, data: bytes, place: str) -> Self:
        """Raises `CorruptCache` where the record is not what was written."""
        body = unsealed(parse_json(data, place), place)
        try:
            rows = tuple(SampleRow.from_json(row) for row in body.pop("rows"))
            return cls(rows=rows, **body)
        except (KeyError, TypeError, AttributeError, BadSample) as error:
            raise CorruptCache(f"{place} is no commit record of format 1 ({error}); extract the shard again") from None
