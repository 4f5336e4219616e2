from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.commands.options import Json
from pipelines.completion import complete_cached_points

CachePath = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
Out = Annotated[
    Path, typer.Option(help="Folder for similarity.csv, .png, .svg and .html, and what stands beside them.")
]
Points = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated points, aliases or patterns of the cache.",
        show_default="all of the cache",
        autocompletion=complete_cached_points,
    ),
]
Of = Annotated[
    Literal["tokens", "means"],
    typer.Option(help="What is compared: each token, on the finest grid of the points, or each sample's mean token."),
]
Other = Annotated[
    str | None,
    typer.Option(
        help="Folder, zip file or URL of another cache of the same samples, whose points are the columns.",
        show_default="none: the cache itself",
    ),
]
OtherPoints = Annotated[
    str | None, typer.Option(help="Comma-separated points of the other cache.", show_default="as --points")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Device to compute on: auto (a GPU if there is one), cpu, cuda.")
]


def run(
    cache: CachePath,
    out: Out,
    points: Points = None,
    of: Of = "tokens",
    other: Other = None,
    other_points: OtherPoints = None,
    device: Device = "auto",
    json_output: Json = False,
) -> None:
    """Compare points with each other by linear CKA and common neighbours, and draw heat maps.

    Linear CKA is 1 where two points hold the same up to a rotation and a scale, 0 where they are uncorrelated. What is
    no more than exchanged samples show is struck through. With --other, points of two caches of the same samples are
    compared, such as those of two models.

    Example: foresight similarity caches/coco --points E1,E4,E5,E8 --out similarity
    """
    from foresight_cache import open_cache
    from foresight_cache.lists import split_list
    from foresight_probes.report.similarity import write_similarity
    from foresight_probes.similarity.comparison import PointComparison
    from pipelines.output import make_folder, print_json
    from pipelines.progress_bar import progress, say

    comparison = PointComparison(
        open_cache(cache),
        None if points is None else split_list(points, "--points"),
        of=of,
        other=None if other is None else open_cache(other),
        other_points=None if other_points is None else split_list(other_points, "--other-points"),
        device=device,
    )
    make_folder(out)
    with progress("similarity", comparison.steps) as advance:
        similarity = comparison.run(advance)
    page = write_similarity(similarity, out)
    for name in similarity.undefined:
        say(f"{name}: similarity is not defined, its features do not vary or are not finite")
    if json_output:
        print_json(similarity.to_json() | {"page": page})
    else:
        print(page)
