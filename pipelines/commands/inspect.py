from typing import TYPE_CHECKING, Annotated

import typer

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
        more = {"fingerprint": opened.fingerprint, "statistics": statistics, "bad": quarantined}
        print_json(cache_json(opened) | more)
        return
    if bad:
        print("\n".join(f"{name}: {reason}" for name, reason in quarantined.items()) or "no quarantined samples")
        return
    print(opened)
    if len(opened.statistics):
        print("\nfeatures, median over shards (norms are of tokens)")
        print(_statistics(opened))


def _statistics(cache: "Cache") -> str:
    medians = cache.statistics.drop(columns="shard").groupby("point", sort=False).median()
    return str(medians.to_string(float_format=lambda value: f"{value:.4g}"))


def _quarantined(cache: "Cache") -> dict[str, str]:
    return {row["id"]: row["reason"] or "" for row in cache.rows if row["status"] == "bad"}
