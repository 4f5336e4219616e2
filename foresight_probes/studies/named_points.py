"""Points that texts of a study name on a cache: single ones, patterns, sets, and several that a head takes at once."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from foresight_cache.errors import ForesightError
from foresight_cache.points import computation_order, members, resolve
from foresight_cache.reader import Cache
from foresight_probes.features.sources import POINT_SEPARATOR


def named_points(text: str, cache: Cache) -> tuple[str, ...]:
    """Returns the true names that a text means on a cache's model, cached or not; of a set those that the model has.

    Of points that are taken together, `A+B`, it is one name, or none where one of them is not a single point there.
    """
    if POINT_SEPARATOR in text:
        parts = [named_points(part, cache) for part in single_points(text)]
        return (POINT_SEPARATOR.join(name for (name,) in parts),) if all(len(part) == 1 for part in parts) else ()
    taps = cache.fingerprint["model"].get("taps", cache.points)
    named: dict[str, None] = {}
    for member in members(text, taps):
        with suppress(ForesightError):
            named |= dict.fromkeys(str(point) for point in resolve([member], taps))
    return tuple(named)


def lacking_points(texts: Sequence[str], cache: Cache) -> tuple[str, ...]:
    """Returns the points of a cache's model that texts mean by name, and that are not cached, in order."""
    single = [part for text in texts for part in single_points(text)]
    named = {name for text in single if not set(text) & set("*?[") for name in named_points(text, cache)}
    return tuple(sorted(named - set(cache.points), key=computation_order))


def cached_points(names: Iterable[str], cache: Cache) -> tuple[str, ...]:
    """Returns those of some true names that a cache has: single ones in the order of computation, then those together.

    Points that are taken together stand in the order of the last of them.
    """
    there = {name for name in names if all(part in cache.points for part in single_points(name))}
    return tuple(sorted(there, key=_order))


def single_points(text: str) -> list[str]:
    """Returns the points that are taken together, or the one.

    >>> single_points("vit.pre_merge@mean+llm.layer_28@last_query")
    ['vit.pre_merge@mean', 'llm.layer_28@last_query']
    """
    return [part.strip() for part in text.split(POINT_SEPARATOR)]


def _order(name: str) -> tuple[bool, list[tuple[int, str, int]], str]:
    parts = single_points(name)
    return len(parts) > 1, sorted(map(computation_order, parts), reverse=True), name
