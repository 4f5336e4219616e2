from typing import Annotated

import typer

from foresight_cache.format.codecs import CODECS
from pipelines.commands.options import Json

Place = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
Out = Annotated[str, typer.Option(help="Place of the new cache, new or to be continued.")]
Codec = Annotated[
    str,
    typer.Option(help=f"One of {', '.join(CODECS)}; of single points as in small,pixels=lz4. Others keep theirs."),
]
Workers = Annotated[int, typer.Option(min=1, help="Points that are compressed side by side.")]


def run(cache: Place, codec: Codec, out: Out, workers: Workers = 2, json_output: Json = False) -> None:
    """Write a cache anew with other codecs, without the model: the same numbers in fewer bytes, or read faster.

    Every byte is checked against what was committed and every number is compared after compression. What is committed
    is copied, with samples and statistics: back to the codec it had, a cache has the same bytes again. An interrupted
    run leaves no half shard and the same command goes on where it stopped. 'foresight plan' tells what a codec saves.

    Example: foresight recode caches/coco --codec small --out caches/coco-small
    """
    from foresight_cache import open_cache
    from foresight_cache.format.codec_choice import CodecChoice
    from foresight_cache.rewriting.recoding import recode
    from pipelines.output import cache_json, print_json
    from pipelines.progress_bar import progress

    source = open_cache(cache)
    with progress("recode", len(source)) as advance:
        recode(source, CodecChoice.parse(codec), out, workers=workers, advance=advance)
    recoded = open_cache(out)
    if json_output:
        print_json(cache_json(recoded))
    else:
        print(recoded)
