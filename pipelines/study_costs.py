"""What it takes to compute the features of a study: operations by point, and hours on GPUs for what is missing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from foresight_cache.errors import ForesightError, ModelError
from foresight_cache.extraction.planning.gpu_speeds import PEAKS, SHARES, gpu_seconds, peaks_text
from foresight_cache.points import Point, members, resolve
from foresight_cache.samples import Grid

if TYPE_CHECKING:
    from foresight_cache.encoders import Encoder, TapLevel
    from foresight_cache.reader import Cache
    from foresight_probes.studies.planning import StudyPlan
    from foresight_probes.studies.study import StudyDataset

_BYTES = 2
"""Bytes of a stored number in bfloat16."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractionEstimate:
    """What it takes to compute the points of a dataset that no cache has."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("to extract", "samples", "points", "TFLOP", "GB", *PEAKS)

    dataset: str
    samples: int
    points: tuple[str, ...]
    """Names, or, where the model is not known, texts of the study."""
    operations: float | None
    """Floating-point operations of a sample up to the deepest point; None where they are not known."""
    gigabytes: float | None
    """10^9 bytes that are written, without pixels and labels, uncompressed."""
    why: str = ""
    """Why they are not known, in words."""

    @property
    def hours(self) -> dict[str, tuple[float, float]]:
        """Least and most hours of computing by kind of GPU; empty where operations are not known."""
        if self.operations is None:
            return {}
        total, (low, high) = self.samples * self.operations, SHARES
        return {kind: (gpu_seconds(total, kind, high) / 3600, gpu_seconds(total, kind, low) / 3600) for kind in PEAKS}

    def to_json(self) -> dict[str, Any]:
        """Returns all fields by name, and the hours."""
        return asdict(self) | {"hours": self.hours}

    def cells(self) -> list[str]:
        """Returns the texts of the columns."""
        if self.operations is None or self.gigabytes is None:
            return [self.dataset, f"{self.samples:,}", str(len(self.points)), *["not known"] * (2 + len(PEAKS))]
        times = [f"{low:.2g} to {high:.2g} h" for low, high in self.hours.values()]
        figures = [f"{self.operations / 1e12:.3g}", f"{self.gigabytes:,.1f}"]
        return [self.dataset, f"{self.samples:,}", str(len(self.points)), *figures, *times]


def assumptions() -> str:
    """Returns what the hours rest on, in a sentence."""
    low, high = SHARES
    return (
        f"hours are samples × TFLOP / (peak × share): from a share of {high:g} to one of {low:g} of the dense bfloat16 "
        f"peak in TFLOP/s ({peaks_text()}), on one GPU, where neither reading pictures nor writing takes longer; TFLOP "
        "are those of matrix products and attention without a prompt's words; 'foresight plan' measures your machine"
    )


def operations_of(cache: "Cache") -> Mapping[str, float] | str:
    """Returns the operations that compute a sample of a cache up to each of its points, or why they are not known.

    They are a mean over samples, as their grids have it.
    """
    from foresight_cache.extraction.planning.operations import OperationCount, described, mean_operations

    model = cache.fingerprint["model"]
    if "config_digest" not in model:
        return "the cache does not say of which configuration its model is"
    if cache.fingerprint["input"].get("clips_as", "video") != "video":
        return "the cache is of clips that the model was not given as clips"
    try:
        encoder = described(str(model["name"]))
        if encoder.config_digest != model["config_digest"]:  # type: ignore[attr-defined]
            return f"the configuration of {model['name']} on this machine is another one than the cache's"
        count = OperationCount(encoder)
    except ForesightError as error:
        return str(error)
    sizes = Counter((row["grid_patch"], row["grid_merged"]) for row in cache.rows if row["status"] == "ok")
    return mean_operations(count, sizes, cache.points)


def extraction_estimates(plan: "StudyPlan") -> list[ExtractionEstimate]:
    """Returns an estimate for each dataset without a cache, and for each cache that lacks points."""
    return list(_estimates(plan))


def _estimates(plan: "StudyPlan") -> Iterator[ExtractionEstimate]:
    from foresight_probes.studies.planning import missing_points, wanted_points

    for name, data in plan.study.datasets.items():
        cache = plan.joined.caches.get(name)
        if cache is None:
            yield _of_dataset(name, data, plan.study.model, wanted_points(plan.study, name))
        elif lacking := missing_points(plan.study, name, cache):
            yield _of_cache(name, cache, lacking)


def _of_dataset(name: str, data: "StudyDataset", model: str, texts: Sequence[str]) -> ExtractionEstimate:
    from foresight_cache.extraction.input_size import InputSize
    from foresight_cache.extraction.planning.operations import described

    try:
        encoder = described(model)
        fixed = InputSize.parse(str(data.size)).fixed
        if fixed is None:
            raise ModelError("inputs have sizes of their own")
        grids = _grids(encoder, data.frames or 1, fixed)
        return _estimate(name, data.samples, _named(texts, encoder), encoder, {grids: 1})
    except ForesightError as error:
        return ExtractionEstimate(
            dataset=name, samples=data.samples, points=tuple(texts), operations=None, gigabytes=None, why=str(error)
        )


def _of_cache(name: str, cache: "Cache", lacking: Sequence[str]) -> ExtractionEstimate:
    from foresight_cache.extraction.planning.operations import described

    rows = [row for row in cache.rows if row["status"] == "ok"]
    try:
        encoder = described(str(cache.fingerprint["model"].get("name", "")))
        sizes = Counter((row["grid_patch"], row["grid_merged"]) for row in rows)
        return _estimate(name, len(rows), tuple(lacking), encoder, sizes)
    except ForesightError as error:
        return ExtractionEstimate(
            dataset=name, samples=len(rows), points=tuple(lacking), operations=None, gigabytes=None, why=str(error)
        )


def _estimate(
    name: str, samples: int, points: tuple[str, ...], encoder: "Encoder", sizes: Mapping[tuple[Any, Any], int]
) -> ExtractionEstimate:
    from foresight_cache.extraction.planning.operations import OperationCount, mean_operations

    operations = mean_operations(OperationCount(encoder), sizes, points)
    if not operations:
        raise ModelError(f"the model has none of the points {', '.join(points)}")
    numbers = sum(_numbers(encoder, points, size) * count for size, count in sizes.items()) / sum(sizes.values())
    return ExtractionEstimate(
        dataset=name,
        samples=samples,
        points=points,
        operations=max(operations.values()),
        gigabytes=samples * numbers * _BYTES / 1e9,
    )


def _numbers(encoder: "Encoder", points: Sequence[str], size: tuple[Any, Any]) -> int:
    """Returns how many numbers a sample has at all of these points."""
    tokens = dict(zip(("patch", "merged"), (Grid(*grid).tokens for grid in size), strict=True))
    taps = {tap.name: tap for tap in encoder.taps}
    parsed = [Point.parse(name) for name in points]
    return sum(
        taps[point.tap].width * (tokens[taps[point.tap].level] if point.readout == "tokens" else 1) for point in parsed
    )


def _grids(encoder: "Encoder", frames: int, fixed: tuple[int, int]) -> tuple[Grid, Grid]:
    levels: tuple[TapLevel, TapLevel] = ("patch", "merged")
    first, second = (encoder.grid(level, frames, *fixed) for level in levels)
    return first, second


def _named(texts: Sequence[str], encoder: "Encoder") -> tuple[str, ...]:
    """Returns the points of a model that texts mean, in the order of computation; what it lacks is left out."""
    taps = [tap.name for tap in encoder.taps]
    named: set[Point] = set()
    for text in (member for own in texts for member in members(own, taps)):
        with suppress(ForesightError):
            named.update(resolve([text], taps))
    return tuple(map(str, sorted(named, key=lambda point: taps.index(point.tap))))
