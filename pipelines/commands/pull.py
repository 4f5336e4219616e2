from typing import Annotated

import typer

from pipelines.commands.options import Json
from pipelines.completion import complete_cached_points

Source = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="SRC")]
Folder = Annotated[str, typer.Argument(help="Folder of the copy, new or to be continued.", metavar="DIR")]
Points = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated points or patterns of the cache; pixels and labels come with them.",
        show_default="all of the cache",
        autocompletion=complete_cached_points,
    ),
]
Shards = Annotated[
    str | None,
    typer.Option(help="Shards A:B, from number A to the one before B, counted from 0.", show_default="all"),
]


def run(cache: Source, folder: Folder, points: Points = None, shards: Shards = None, json_output: Json = False) -> None:
    """Copy a cache, or some points and shards of it, into a local folder, verified.

    Whole files are read in ranges of 16 MiB, many at once, and each is held to the SHA-256 of its commit before it gets
    its name. The copy is itself a cache, with the bytes of an extraction that asked for these points. An interrupted
    copy goes on with the same command; points and shards can be added later; several processes share out the work.

    Example: foresight pull s3://bucket/coco /nvme/coco --points E4,E5
    """
    from foresight_cache.errors import UsageError
    from foresight_cache.format.stores import open_writable
    from pipelines.copies import copy, show

    if "://" in folder:
        raise UsageError(f"pull copies into a local folder, not to {folder}; 'foresight push' copies to other places")
    copy("pull", cache, open_writable(folder), points, shards)
    show(folder, json_output=json_output)
