from typing import TYPE_CHECKING, Annotated

import typer

from foresight_cache.token_order import best_order, order_scores
from pipelines.commands.options import Json

if TYPE_CHECKING:
    from foresight_cache import Cache

Place = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
Bad = Annotated[bool, typer.Option("--bad", help="List the quarantined samples and why.", show_default="off")]


def run(cache: Place, bad: Bad = False, json_output: Json = False) -> None:
    """Show what a cache is: model, dataset, points, shapes, sizes, fingerprint, and what its features look like.

    Example: foresight inspect caches/coco --bad
    """
    from foresight_cache import open_cache
    from pipelines.output import cache_json, print_json

    opened = open_cache(cache)
    quarantined = _quarantined(opened)
    if json_output:
        statistics = opened.statistics.to_dict("records")
        orders = order_scores(opened.commits)
        more = {"fingerprint": opened.fingerprint, "statistics": statistics, "order": orders, "bad": quarantined}
        print_json(cache_json(opened) | more)
        return
    if bad:
        print("\n".join(f"{name}: {reason}" for name, reason in quarantined.items()) or "no quarantined samples")
        return
    print(opened)
    if len(opened.statistics):
        print("\nfeatures, median over shards (norms are of tokens)")
        print(_statistics(opened))
    if table := _orders(opened):
        print("\norder of tokens on the first shard: mean R² of colours and gradients at their places, in each order")
        print(table)


def _orders(cache: "Cache") -> str:
    import pandas as pd

    scores = order_scores(cache.commits)
    known = {
        point: found | {"tokens are in": best_order(found) or "no order clearly"}
        for point, found in scores.items()
        if found
    }
    return str(pd.DataFrame(known).T.to_string(na_rep="same")) if known else ""


def _statistics(cache: "Cache") -> str:
    medians = cache.statistics.drop(columns="shard").groupby("point", sort=False).median()
    return str(medians.to_string(float_format=lambda value: f"{value:.4g}"))


def _quarantined(cache: "Cache") -> dict[str, str]:
    return {row["id"]: row["reason"] or "" for row in cache.rows if row["status"] == "bad"}
