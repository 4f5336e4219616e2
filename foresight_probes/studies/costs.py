"""What points cost beside what they are worth: tokens, bytes and computation of a sample's features."""

from dataclasses import dataclass

from foresight_probes.studies.evidence import Evidence, bytes_of, mean_tokens
from foresight_probes.studies.reading import Reading

_NOT_COUNTED = "operations are counted by `foresight study`, not where a study is carried out by code"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """A point with what it costs and what is read from it."""

    point: str
    tokens: float
    """Of a sample, the mean over samples."""
    channels: int
    bytes: float
    """Stored bytes of a sample's features, the mean over samples."""
    operations: float | None
    """Floating-point operations that compute them for a sample, the mean over samples; None where it is not known."""
    reading: Reading
    """Of the measure by which points are recommended."""


def costs(evidence: Evidence) -> tuple[Cost, ...]:
    """Returns the points of which one is recommended, in the order of computation; none where nothing is."""
    wanted = evidence.study.recommendation
    cache = evidence.cache_of(wanted.measure) if wanted else None
    if wanted is None or cache is None:
        return ()
    operations = evidence.operations.get(evidence.dataset_of(wanted.measure), {})
    known = {} if isinstance(operations, str) else operations
    rows = [row for row, sample in enumerate(cache.rows) if sample["status"] == "ok"]
    return tuple(
        Cost(
            point=point,
            tokens=mean_tokens([cache[point].grid_of(row) for row in rows]),
            channels=cache[point].shape[2],
            bytes=bytes_of(cache, [point]),
            operations=known.get(point),
            reading=evidence.reading(wanted.measure, point),
        )
        for point in evidence.points(wanted.points, wanted.measure)
    )


def why_no_operations(evidence: Evidence) -> str:
    """Returns why the operations of points that can be recommended are not known, in words; empty where they are."""
    wanted = evidence.study.recommendation
    found = evidence.operations.get(evidence.dataset_of(wanted.measure), _NOT_COUNTED) if wanted else ""
    return found if isinstance(found, str) else ""
