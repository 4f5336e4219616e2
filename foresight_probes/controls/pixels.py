"""The input itself, cut into patches, as a point with the same heads: what needs no model to be read."""

from collections.abc import Sequence

from foresight_cache.points import PIXELS
from foresight_probes import controls
from foresight_probes.features.sources import POINT_SEPARATOR, Source, open_sources
from foresight_probes.tasks import Task


class Control(controls.Control):
    """The point `pixels` of the cache, where it has one."""

    changes_features = True

    def fits(self, task: Task) -> bool:  # noqa: ARG002
        cache = self.context.cache
        return PIXELS in cache and len(cache.points) > 1

    def point_for(self, point: str) -> str | None:
        return None if point == PIXELS or POINT_SEPARATOR in point else PIXELS

    def sources(self, point: str) -> Sequence[Source]:
        return open_sources(self.context.cache, point)
