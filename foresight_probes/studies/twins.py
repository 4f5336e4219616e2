"""Random twins: caches of the same samples from a model of the same architecture with random weights."""

from collections.abc import Mapping, Sequence

from foresight_cache.errors import UsageError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache, open_cache
from foresight_probes.studies.joining import SEPARATOR, blank_of, merged_of, prompt_of, size_of
from foresight_probes.studies.named_points import single_points
from foresight_probes.studies.shared_samples import usable_ids

CONTROL = "random-twin"
"""Name of the control that reads a twin."""


def twins_by_dataset(caches: Mapping[str, Cache], places: Sequence[str]) -> dict[str, Cache]:
    """Opens twins and returns them by the names of the datasets whose samples they show.

    A place may be `<name>=<cache>`; without a name it is the twin of all caches of its input size whose samples it has.
    Raises `UsageError` where there is no such cache, or one has two twins.
    """
    twins: dict[str, Cache] = {}
    for place in places:
        name, separator, inner = place.partition(SEPARATOR)
        is_named = bool(separator) and name in caches
        twin = open_cache(inner if is_named else place)
        names = [name] if is_named else [own for own, cache in caches.items() if _shows_the_same(twin, cache)]
        if not names:
            raise UsageError(
                f"the twin {twin.path}, at {size_of(twin)}, has the samples of none of {', '.join(caches)} at its "
                "size; extract it from the same shards with the same --size"
            )
        for own in names:
            if own in twins:
                raise UsageError(f"{twin.path} is a second twin of {own!r}, which is {twins[own].path}; give one")
            twins[own] = twin
    return twins


def _shows_the_same(twin: Cache, cache: Cache) -> bool:
    shown = [(size_of(own), merged_of(own), prompt_of(own), blank_of(own)) for own in (twin, cache)]
    return shown[0] == shown[1] and usable_ids(cache).keys() <= usable_ids(twin).keys()


def twin_for(twin: Cache | None, points: Sequence[str]) -> tuple[Cache | None, list[str]]:
    """Returns a twin where it has all points, pixels aside, and what is said where it has not."""
    single = dict.fromkeys(part for point in points for part in single_points(point))
    lacking = [point for point in single if point != PIXELS and twin is not None and point not in twin.points]
    if not lacking or twin is None:
        return twin, []
    return None, [f"the twin {twin.path} lacks {', '.join(lacking)}, so that no random twin stands beside these runs"]
