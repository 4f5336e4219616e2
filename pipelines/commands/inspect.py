import math
from typing import TYPE_CHECKING, Annotated

import typer

from foresight_cache.errors import UsageError
from foresight_cache.token_order import best_order, order_scores
from pipelines.commands.options import Json

if TYPE_CHECKING:
    from foresight_cache import Cache

Place = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
Bad = Annotated[bool, typer.Option("--bad", help="List the quarantined samples and why.", show_default="off")]
Watch = Annotated[
    bool,
    typer.Option("--watch", help="Show how far its extraction is, until it is complete.", show_default="off"),
]
Every = Annotated[
    float | None,
    typer.Option(help="Seconds between two looks of --watch.", show_default="2 on a terminal, 60 elsewhere"),
]


def run(cache: Place, bad: Bad = False, watch: Watch = False, every: Every = None, json_output: Json = False) -> None:
    """Show what a cache is: model, dataset, points, shapes, sizes, fingerprint, and what its features look like.

    With --watch it shows how far an extraction is that runs anywhere, from the cache alone: shards that are done, those
    that are being written and by whom, the rate of the last minutes, the time left and bad samples. It ends when all
    points of the cache are there; --json prints a line for each look.

    Example: foresight inspect caches/coco --bad
    """
    from foresight_cache import open_cache
    from pipelines.output import cache_json, print_json

    if watch:
        _watch(cache, every, bad=bad, json_output=json_output)
        return
    if every is not None:
        raise UsageError("--every is for --watch; give both")
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


def _watch(cache: str, every: float | None, *, bad: bool, json_output: bool) -> None:
    from foresight_cache.format.stores import open_store
    from pipelines.watch import watch

    if bad:
        raise UsageError("--watch counts bad samples and --bad lists them; give one of them")
    if every is not None and not (math.isfinite(every) and every > 0):
        raise UsageError(f"--every is {every}, expected a number of seconds above 0")
    watch(open_store(cache), json_output=json_output, every=every)


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
