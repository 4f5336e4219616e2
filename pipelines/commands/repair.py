from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foresight_cache.format.stores.writable import WritableStore

Place = Annotated[str, typer.Argument(help="Folder or URL (s3://…) of the cache to be mended.", metavar="CACHE")]
Other = Annotated[
    str | None,
    typer.Option("--from", help="Another copy of the cache: folder, zip file or URL.", show_default="none"),
]


def run(cache: Place, other: Other = None) -> None:
    """Mend a cache that is damaged or was copied in part.

    Every byte is checked first, and what is right is not touched. With --from, what is missing or damaged is taken from
    another copy of the same cache, object by object, where it has the very bytes that were committed. Without it,
    what is damaged is taken out, and the same 'foresight extract' makes that, and nothing else, again.

    Example: foresight repair caches/coco --from s3://bucket/coco
    """
    from foresight_cache.format.stores import open_writable

    target = open_writable(cache)
    if other is None:
        _take_out(target)
    else:
        _mend(target, other)


def _mend(target: "WritableStore", other: str) -> None:
    from foresight_cache import open_cache
    from foresight_cache.copying.repair import examine
    from foresight_cache.verify import verify
    from pipelines.megabytes import Megabytes, in_megabytes
    from pipelines.progress_bar import progress, say

    source = open_cache(other)
    with progress("verify", source.layout.samples) as advance:
        mending = examine(target, source, lambda cache: verify(cache, advance))
    with progress("repair", in_megabytes(mending.survey.size), "MB") as report:
        wrong = mending.run(Megabytes(report), say)
    for sentence in wrong:
        print(sentence)
    told = f"{mending.lacks} of its parts were wrong" if mending.lacks else "nothing was wrong"
    left = ", nothing is now" if mending.lacks else ""
    if wrong:
        left = f", {len(wrong)} thing{'s still are' if len(wrong) > 1 else ' still is'}"
    print(f"{target.place}: {told}{left}")
    raise typer.Exit(1 if wrong else 0)


def _take_out(target: "WritableStore") -> None:
    from foresight_cache.copying.repair import take_out
    from foresight_cache.reader import Cache
    from foresight_cache.verify import verify
    from pipelines.progress_bar import progress

    with progress("repair", Cache(target).layout.samples) as advance:
        removed = take_out(target, lambda cache: verify(cache, advance))
    for key in removed:
        print(f"{key}: taken out")
    again = "; run the same 'foresight extract' again to make it" if removed else ""
    print(f"{target.place}: {len(removed) or 'nothing'} taken out{again}")
