"""What a cache knows of the order of its tokens: how well they tell what lies at their places, in each likely order."""

from collections.abc import Iterable, Mapping

from foresight_cache.format.commits import Commit
from foresight_cache.points import computation_order

RASTER = "raster"
ORDERS = (RASTER, "merge_groups", "windows", "window_units")
"""Orders that are told apart, beside raster: groups of 2 × 2 patches as processors of Qwen emit them, windows of 4 × 4
such groups one after another, and these groups in the order of windows with patches in raster order inside of each."""
_CLEAR = 0.1
"""Difference of two scores, which are mean R², from which on one order is clearly better."""


def best_order(scores: Mapping[str, float]) -> str | None:
    """Returns the order in which tokens clearly tell most of what lies at their places; None where none does.

    >>> best_order({"raster": 0.6, "windows": 0.2}), best_order({"raster": 0.1, "windows": 0.5})
    ('raster', 'windows')
    >>> best_order({"raster": 0.25, "windows": 0.2}), best_order({"raster": 0.6}), best_order({})
    (None, None, None)
    """
    others = {order: score for order, score in scores.items() if order != RASTER}
    if not others or RASTER not in scores:
        return None
    other = max(others, key=lambda order: others[order])
    lead = scores[RASTER] - others[other]
    return None if abs(lead) < _CLEAR else RASTER if lead > 0 else other


def order_scores(commits: Iterable[Commit]) -> dict[str, dict[str, float]]:
    """Returns by point the scores that were taken on the first shard; none of a point that has too few samples there.

    Points whose tokens lie on no grid, and those of a cache without its first shard, are not among them.
    """
    first = next((commit for commit in commits if commit.shard == 0), None)
    objects = first.objects.items() if first else ()
    scores = {point: entry["order"] for point, entry in objects if "order" in entry}
    return {
        point: {order: scores[point][order] for order in ORDERS if order in scores[point]}
        for point in sorted(scores, key=computation_order)
    }


def described(commits: Iterable[Commit]) -> dict[str, str]:
    """Returns one line, `order`, that says at how many points raster order was confirmed, and where it could not be."""
    scores = order_scores(commits)
    if not scores:
        return {}
    few = [point for point, found in scores.items() if not found]
    unclear = [point for point, found in scores.items() if found and best_order(found) != RASTER]
    said = [
        f"raster at {len(scores) - len(few) - len(unclear)} of {len(scores)} points, by what tokens tell of patches"
    ]
    if few:
        said.append("too few samples to tell" + (f" at {', '.join(few)}" if len(few) < len(scores) else ""))
    if unclear:
        said.append(f"no order wins clearly at {', '.join(unclear)}")
    return {"order": "; ".join(said[1:] if len(few) == len(scores) else said)}
