import json
from pathlib import Path
from typing import Annotated, Literal

import typer

CachePath = Annotated[str, typer.Argument(help="Folder or URL (s3://…) of a cache.")]
Out = Annotated[Path, typer.Option(help="Folder for similarity.csv, .png, .svg and .html.")]
Points = Annotated[str | None, typer.Option(help="Comma-separated points, aliases or patterns; all by default.")]
Of = Annotated[
    Literal["tokens", "means"],
    typer.Option(help="What is compared: each token, on the finest grid of the points, or the means over tokens."),
]
Other = Annotated[
    str | None, typer.Option(help="Another cache of the same samples; the columns are its points. None by default.")
]
OtherPoints = Annotated[str | None, typer.Option(help="Points of the other cache; as --points by default.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where products are computed: auto (the GPU if there is one) …")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]


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
    """Compare points with each other by linear CKA, and draw a heat map.

    A value of 1 means that two points hold the same up to a rotation and a scale, 0 that they have nothing in common.
    Every sample is read once. With --other, points of two caches of the same samples are compared, such as those of
    two models.

    Example: foresight similarity caches/coco --points E1,E4,E5,E8 --out similarity
    """
    from foresight_cache import open_cache
    from foresight_probes.report.similarity import write_similarity
    from foresight_probes.similarity import PointComparison
    from pipelines.progress import progress, say

    comparison = PointComparison(
        open_cache(cache),
        None if points is None else points.split(","),
        of=of,
        other=None if other is None else open_cache(other),
        other_points=None if other_points is None else other_points.split(","),
        device=device,
    )
    make_output_folder(out)
    with progress("similarity", comparison.steps) as advance:
        similarity = comparison.run(advance)
    page = write_similarity(similarity, out)
    for name in similarity.undefined:
        say(f"{name}: similarity is not defined, its features do not vary or are not finite")
    print(json.dumps(similarity.to_json() | {"page": str(page)}, indent=1, ensure_ascii=False) if json_output else page)


def make_output_folder(out: Path) -> None:
    """Raises `UsageError` where the folder cannot be made or written, before long work is begun for it."""
    import tempfile

    from foresight_cache.errors import UsageError

    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror or error}; name another folder") from error
