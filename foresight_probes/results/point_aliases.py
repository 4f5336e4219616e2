"""Aliases of points (`E4`) among results, which know the taps of their model."""

from collections.abc import Iterable

from foresight_cache.points import aliases
from foresight_probes.results.result import Result

READOUT, TOGETHER = "@", "+"
"""What stands between a tap and its readout, and between points that are taken together."""


def alias_of(result: Result) -> str:
    """Returns the alias of a result's point, as in `E4@mean` or `E4+E5`; empty where it has none."""
    taps = result.cache.get("model", {}).get("taps", ())
    known = {tap: alias for alias, tap in reversed(aliases(taps).items())} if taps else {}
    parts = [part.strip().partition(READOUT) for part in result.point.split(TOGETHER)]
    if any(tap not in known for tap, _, _ in parts):
        return ""
    return TOGETHER.join(f"{known[tap]}{sign}{readout}" for tap, sign, readout in parts)


def meant(text: str, results: Iterable[Result]) -> str:
    """Returns the name of the point that an alias stands for among results; the text itself where it is none."""
    return next((result.point for result in results if alias_of(result) == text), text)
