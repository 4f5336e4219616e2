"""Penalties that validation chose at an edge of their grid, beyond which a better one may lie."""

from collections import defaultdict
from collections.abc import Iterable

from foresight_probes.results.result import Result


def edge_remarks(results: Iterable[Result]) -> list[str]:
    """Returns a sentence for each task and head, and each edge, at which the best penalty of several lies.

    Controls, most of which have nothing to learn, are not asked, nor heads for which a constant answer stands.
    """
    found: dict[tuple[str, str, str, float], list[str]] = defaultdict(list)
    for result in results:
        grid, best = sorted(result.options.get("strengths", ())), result.validation.get("strength")
        if best is None or result.control or not result.parameters or len(grid) < 2 or grid[0] < best < grid[-1]:
            continue
        edge = "least" if best == grid[0] else "largest"
        found[result.task, result.head, edge, best].append(result.point)
    return [
        f"{task}: {head} is best with the {edge} penalty of its grid, {best:g}, at {_named(points)}, so that a "
        f"{'smaller' if edge == 'least' else 'larger'} one may be better; give more strengths in a --config file"
        + (", or there is nothing to learn" if edge == "largest" else "")
        for (task, head, edge, best), points in found.items()
    ]


def _named(points: list[str]) -> str:
    first = list(dict.fromkeys(points))
    return ", ".join(first[:3]) + (f" and {len(first) - 3} more points" if len(first) > 3 else "")
