from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json
from pipelines.commands.pull import Points, Shards, Source

Target = Annotated[
    str, typer.Argument(help="URL (s3://…) or folder of the copy, new or to be continued.", metavar="DST")
]

Scratch = Annotated[
    Path | None,
    typer.Option(
        help="Folder where files are put together and checked before they are sent to an object store.",
        show_default="the folder of temporary files",
    ),
]


def run(
    cache: Source,
    target: Target,
    points: Points = None,
    shards: Shards = None,
    scratch: Scratch = None,
    json_output: Json = False,
) -> None:
    """Copy a cache, or some points and shards of it, to an object store or another place, verified.

    Each file is held to the SHA-256 of its commit before it is sent, and what is there already is never overwritten.
    An interrupted copy goes on with the same command. 'foresight verify DST' reads everything back.

    Example: foresight push caches/coco s3://bucket/coco
    """
    from foresight_cache.format.stores import open_writable
    from pipelines.copies import copy, show

    copy("push", cache, open_writable(target, scratch), points, shards)
    show(target, json_output=json_output)
