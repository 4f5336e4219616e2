"""What the commits of a cache say of the features of each shard, as rows of a table."""

from collections.abc import Iterable, Sequence
from typing import Any

from foresight_cache.format.commits import Commit

STATISTICS = ("shard", "point", "mean", "std", "norm_05", "norm_50", "norm_95", "effective_rank")
"""Columns of the table."""


def statistics_rows(commits: Iterable[Commit], points: Sequence[str]) -> list[dict[str, Any]]:
    """Returns a row for each shard and point whose statistics were committed."""
    rows = []
    for commit in commits:
        for point in points:
            if statistics := commit.objects[point].get("statistics"):
                low, middle, high = statistics["norm_quantiles"]
                norms = {"norm_05": low, "norm_50": middle, "norm_95": high}
                plain = {name: statistics[name] for name in ("mean", "std", "effective_rank")}
                rows.append({"shard": commit.shard, "point": point, **plain, **norms})
    return rows
