"""The same point of a model of the same architecture with random weights: what needs no training to be read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes import controls
from foresight_probes.controls import ControlContext
from foresight_probes.features.sources import POINT_SEPARATOR, Source
from foresight_probes.tasks import Task


class Control(controls.Control):
    """The points of a second cache, whose samples are found by their ids.

    Raises `ProbeError` where that cache is not of random weights or of another architecture, or lacks samples.
    """

    changes_features = True

    def __init__(self, context: ControlContext) -> None:
        super().__init__(context)
        if context.twin is not None:
            _require_random(context.cache, context.twin)
            self._rows = _rows_in_twin(context.cache, context.twin)

    @property
    def reads(self) -> Cache | None:
        return self.context.twin

    def fits(self, task: Task) -> bool:  # noqa: ARG002
        return self.context.twin is not None

    def point_for(self, point: str) -> str | None:
        return None if point == PIXELS else point

    def sources(self, point: str) -> Sequence[Source]:
        """Raises `ProbeError` where the twin's point is missing or differs in its width or in a grid."""
        return [self._source(name) for name in point.split(POINT_SEPARATOR)]

    def _source(self, name: str) -> "TwinTokens":
        cache, twin = self.context.cache, self.context.twin
        assert twin is not None, "it fits no task without"  # noqa: S101
        if name not in twin:
            raise ProbeError(
                f"the twin {twin.path} has no point {name}; extract it there too, or name others with --points"
            )
        if twin[name].shape[2] != cache[name].shape[2]:
            raise ProbeError(
                f"{name} has {twin[name].shape[2]} channels in the twin {twin.path} and {cache[name].shape[2]} in "
                f"{cache.path}, expected the same architecture; extract with the same model and random weights"
            )
        for row, own in self._rows.items():
            if twin[name].grid_of(own) != cache[name].grid_of(row):
                raise ProbeError(
                    f"sample {cache.rows[row]['id']} has a grid of {twin[name].grid_of(own)} tokens in the twin "
                    f"{twin.path} and of {cache[name].grid_of(row)} in {cache.path}; extract with the same --size"
                )
        return TwinTokens(twin, name, self._rows)


class TwinTokens:
    """The tokens of a point of the twin by row of the first cache; a `Source`."""

    def __init__(self, twin: Cache, name: str, rows: Mapping[int, int]) -> None:
        self._point, self._rows, self._samples = twin[name], rows, twin.rows
        self.name, self.width = name, self._point.shape[2]
        self.dtype: np.dtype[Any] = self._point.dtype

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:
        self._point.stored_into(self._rows[row], out_ND, check=check)

    def grid(self, row: int) -> Grid:
        return self._point.grid_of(self._rows[row])

    def shard(self, row: int) -> int:
        return int(self._samples[self._rows[row]]["shard"])


def _require_random(cache: Cache, twin: Cache) -> None:
    own, other = (each.fingerprint.get("model", {}) for each in (cache, twin))
    if other.get("weights") != "random":
        raise ProbeError(
            f"the twin {twin.path} has {other.get('weights')} weights, expected random ones; "
            "extract it with --model random:MODEL"
        )
    if own.get("class") != other.get("class"):
        raise ProbeError(
            f"the twin {twin.path} is of a {other.get('class')} and {cache.path} of a {own.get('class')}, expected "
            "the same architecture; extract it with --model random:MODEL of the same model"
        )
    if twin.digest == cache.digest:
        raise ProbeError(f"the twin {twin.path} has the fingerprint of {cache.path} itself; name that of another model")


def _rows_in_twin(cache: Cache, twin: Cache) -> dict[int, int]:
    """Returns the twin's row for each usable row of the cache. Raises `ProbeError` where a sample is missing there."""
    own = {sample["id"]: row for row, sample in enumerate(twin.rows) if sample["status"] == "ok"}
    rows = {}
    for row, sample in enumerate(cache.rows):
        if sample["status"] == "ok":
            if sample["id"] not in own:
                raise ProbeError(
                    f"the twin {twin.path} lacks sample {sample['id']} of {cache.path}; extract it from the same shards"
                )
            rows[row] = own[sample["id"]]
    return rows
