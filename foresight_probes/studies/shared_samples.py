"""Caches that show the same samples: what differs between two of them, and those samples alone that several share."""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from typing import Any, cast

from foresight_cache.errors import UsageError
from foresight_cache.reader import Cache
from foresight_cache.sample_table import SampleTableRow

FIELDS = (
    *("media", "group", "split", "file_name", "width", "height", "frames", "frame_indices", "reversed", "annotations"),
)
"""Fields of the sample table that are the same where two caches show the same."""
_ADVICE = "prepare the dataset once and extract each cache from the same shards"


class SharedCache(Cache):
    """A cache of which some samples alone are used; the others count as quarantined."""

    def __init__(self, cache: Cache, ids: Collection[str]) -> None:
        super().__init__(cache.store, [commit.shard for commit in cache.commits], cache.answers)
        self._whole, self._ids = cache, frozenset(ids)

    @cached_property
    def rows(self) -> list[SampleTableRow]:
        """The rows of the whole cache, where those of other samples are `bad`."""
        return [row if row["id"] in self._ids else _left_out(row) for row in self._whole.rows]

    @property
    def reopen(self) -> Callable[[], Cache]:
        return partial(_reopened, self._whole.reopen, self._ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedCache, (self._whole, self._ids)


def _reopened(whole: Callable[[], Cache], ids: Collection[str]) -> Cache:
    return SharedCache(whole(), ids)


def _left_out(row: SampleTableRow) -> SampleTableRow:
    if row["status"] != "ok":
        return row
    return {**row, "status": "bad", "reason": "another cache of this study lacks it"}


def usable_ids(cache: Cache) -> dict[str, int]:
    """Returns the rows of samples that are not quarantined, by id."""
    return {row["id"]: number for number, row in enumerate(cache.rows) if row["status"] == "ok"}


def require_same_samples(first: Cache, second: Cache, names: tuple[str, str]) -> None:
    """Raises `UsageError` with the field that differs and for how many samples, unless both show the same.

    Args:
        first: A cache.
        second: Another one, such as of another model or input size.
        names: What the study calls them.
    """
    one, other = usable_ids(first), usable_ids(second)
    alone, beside = one.keys() - other.keys(), other.keys() - one.keys()
    pair = f"{second.path} ({names[1]}) and {first.path} ({names[0]})"
    if alone or beside:
        raise UsageError(
            f"{pair} have other samples: id differs, {len(beside):,} are in the first alone, {len(alone):,} in the "
            f"second alone and {len(one.keys() & other.keys()):,} in both; {_ADVICE}, or give --shared-samples to use "
            "those in both"
        )
    _require_same_fields(first, second, pair)
    tars = [{commit.source_sha256 for commit in cache.commits} for cache in (first, second)]
    if tars[0] != tars[1]:
        unknown = sum(len(commit.rows) for commit in second.commits if commit.source_sha256 not in tars[0])
        raise UsageError(
            f"{pair} were made from other shards: sha256 differs, for {unknown:,} of {len(second):,} samples, so that "
            f"their media may differ; {_ADVICE}, or give --shared-samples to go by their ids"
        )


def _require_same_fields(first: Cache, second: Cache, pair: str) -> None:
    """Raises `UsageError` where a sample that both have is described in two ways."""
    one, other = usable_ids(first), usable_ids(second)
    for field in FIELDS:
        differing = [
            name
            for name in one
            if name in other and _value(first.rows[one[name]], field) != _value(second.rows[other[name]], field)
        ]
        if differing:
            raise UsageError(
                f"{pair} do not show the same: {field} differs for {len(differing):,} of {len(one):,} samples, such as "
                f"{differing[0]}; {_ADVICE}"
            )


def _value(row: SampleTableRow, field: str) -> Any:
    return cast(Mapping[str, Any], row)[field]


def only_shared(caches: Mapping[str, Cache]) -> tuple[dict[str, Cache], list[str]]:
    """Returns caches with the samples that all of them have, and in a sentence how many these are, unless all are.

    Raises `UsageError` where there is none, or where what they have in common is described in two ways.
    """
    ids = {name: usable_ids(cache) for name, cache in caches.items()}
    first, *others = caches
    shared = frozenset(ids[first]).intersection(*(ids[name] for name in others))
    if not shared:
        raise UsageError(f"no sample is in all caches of {', '.join(caches)}; {_ADVICE}")
    for name in others:
        pair = f"{caches[name].path} ({name}) and {caches[first].path} ({first})"
        _require_same_fields(caches[first], caches[name], pair)
    left = {name: len(own) - len(shared) for name, own in ids.items()}
    if not any(left.values()):
        return dict(caches), []
    counts = ", ".join(f"{count:,} of {name}" for name, count in left.items() if count)
    said = f"of {', '.join(caches)} the {len(shared):,} samples that all have are used; left out are {counts}"
    return {name: SharedCache(cache, shared) if left[name] else cache for name, cache in caches.items()}, [said]
