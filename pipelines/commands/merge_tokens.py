from typing import Annotated

import typer

from pipelines.commands.options import Json
from pipelines.completion import complete_cached_points

CachePath = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
Cells = Annotated[int, typer.Option(min=2, help="Rows and columns of tokens that become one, such as 2 or 4.")]
Out = Annotated[str, typer.Option(help="Place of the new cache, new or to be continued.")]
Points = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated points or patterns of the cache.",
        show_default="all with tokens on a grid",
        autocompletion=complete_cached_points,
    ),
]


def run(cache: CachePath, cells: Cells, out: Out, points: Points = None, json_output: Json = False) -> None:
    """Write a cache whose tokens are the means of neighbouring ones, without the model: what merging alone loses.

    Each token stands for CELLS × CELLS neighbours of one frame, at an edge for those that are there. Pixels and labels
    are copied. The fingerprint says so, so that no run takes it for the cache it was made from. An interrupted run
    leaves no half shard and the same command goes on where it stopped.

    Example: foresight merge-tokens caches/coco --points E4 --cells 2 --out caches/coco-merged-2
    """
    from foresight_cache import open_cache
    from foresight_cache.lists import split_list
    from foresight_cache.rewriting.token_merging import merge_tokens
    from pipelines.output import cache_json, print_json
    from pipelines.progress_bar import progress

    source = open_cache(cache)
    chosen = None if points is None else split_list(points, "--points")
    with progress("merge-tokens", len(source)) as advance:
        merge_tokens(source, cells, out, chosen, advance=advance)
    merged = open_cache(out)
    if json_output:
        print_json(cache_json(merged))
    else:
        print(merged)
