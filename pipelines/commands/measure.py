import shlex
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json
from pipelines.completion import complete_cached_points

CachePath = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
Out = Annotated[Path, typer.Option(help="Folder for measures.html, measures.csv and the figures.")]
Measures = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated measures: connector-loss, depth-curves, knn-segmentation, neighbour-similarity, "
        "propagation, token-plates.",
        show_default="all; connector-loss with --against alone",
    ),
]
Points = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated points, aliases or patterns of the cache.",
        show_default="all of the cache",
        autocompletion=complete_cached_points,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated points after the connector, of which connector-loss compares each with each of --points.",
        show_default="none",
        autocompletion=complete_cached_points,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(min=2, help="Samples that are read, one of each group.", show_default="each measure's own"),
]


def run(
    cache: CachePath,
    out: Out,
    measures: Measures = None,
    points: Points = None,
    against: Against = None,
    samples: Samples = None,
    json_output: Json = False,
) -> None:
    """Measure what needs no training: curves over depth, what a connector loses, masks and classes by nearest tokens.

    The same tables and figures that sections of a study have, of one cache. What cannot be measured says why.

    Example: foresight measure caches/coco --measures connector-loss --points E4 --against E5 --out measures
    """
    from foresight_cache import open_cache
    from foresight_cache.errors import ProbeError
    from foresight_cache.lists import split_list
    from foresight_probes.report.measures import measures_json, write_measures
    from foresight_probes.studies import without_study
    from pipelines.output import make_folder, print_json
    from pipelines.progress_bar import say

    opened = open_cache(cache)
    asked = without_study.requests(
        opened,
        None if measures is None else split_list(measures, "--measures"),
        points=None if points is None else split_list(points, "--points"),
        against=() if against is None else split_list(against, "--against"),
        samples=samples or 0,
    )
    make_folder(out)
    shown = [without_study.show(opened, name, request) for name, request in asked.items()]
    for own in shown:
        if own.reason:
            say(f"{own.name} is not measured: {own.reason}")
    if all(own.reason for own in shown):
        raise ProbeError(f"nothing could be measured: {shown[0].reason}")
    given = {"--measures": measures, "--points": points, "--against": against, "--samples": samples}
    words = [str(word) for name, value in given.items() if value is not None for word in (name, value)]
    page = write_measures(
        opened, shown, out, command=shlex.join(["foresight", "measure", cache, *words, "--out", str(out)])
    )
    if json_output:
        print_json({"page": page, "measures": measures_json(shown)})
    else:
        print(page)
