"""What the commands that copy caches share."""

from foresight_cache.copying.moving import planned
from foresight_cache.copying.parts import chosen_part
from foresight_cache.format.stores import WritableStore
from foresight_cache.reader import open_cache
from pipelines.megabytes import Megabytes, in_megabytes
from pipelines.output import cache_json, print_json
from pipelines.progress_bar import progress, say


def copy(label: str, source: str, target: WritableStore, points: str | None, shards: str | None) -> None:
    """Copies a part of a cache with progress on stderr. Raises what `Move` raises."""
    cache = open_cache(source)
    move = planned(cache, target, chosen_part(cache, points, shards))
    for remark in move.remarks:
        say(remark)
    with progress(label, in_megabytes(move.survey.size), "MB") as report:
        move.run(Megabytes(report), say)


def show(place: str, *, json_output: bool) -> None:
    """Prints what the copy is."""
    cache = open_cache(place)
    if json_output:
        print_json(cache_json(cache))
    else:
        print(cache)
