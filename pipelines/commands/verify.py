import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foresight_cache import Cache
    from foresight_cache.rerun import Difference

Place = Annotated[str, typer.Argument(help="Folder or URL (s3://…) of a cache.")]
Rerun = Annotated[int, typer.Option(min=0, help="Also extract so many random samples again and compare.")]
Model = Annotated[str | None, typer.Option(help="Where the model is, for --rerun; the cache's own name by default.")]
Device = Annotated[str, typer.Option(help="Device for --rerun: auto, cpu, cuda …")]
Json = Annotated[bool, typer.Option("--json", help="Print the findings as JSON, for programs.")]


def run(
    cache: Place, rerun: Rerun = 0, model: Model = None, device: Device = "auto", json_output: Json = False
) -> None:
    """Re-check every checksum of a cache and list all that is wrong.

    Exit status 0 means that every shard is there and every byte is as it was written. With --rerun, features are
    computed again from the cached pixels and the largest difference of each point is shown; more than 2 % fails.

    Example: foresight verify caches/coco --rerun 3
    """
    from foresight_cache import open_cache
    from foresight_cache.verify import verify
    from pipelines.progress import progress

    opened = open_cache(cache)
    with progress("verify", opened.layout.samples) as advance:
        findings = verify(opened, advance)
    differing = _rerun(opened, rerun, model, device) if rerun and not findings else []
    if json_output:
        record = {"findings": list(map(asdict, findings)), "rerun": list(map(asdict, differing))}
        print(json.dumps(record))
    else:
        for finding in findings:
            print(f"{finding.place}: {finding.problem}")
        for row in differing:
            print(f"{row.point}: largest difference {row.absolute:.3g} ({row.relative:.3%} of the largest value)")
        print(f"{cache}: {len(findings) or 'no'} finding{'s' * (len(findings) != 1)}")
    raise typer.Exit(1 if findings or _too_far(differing) else 0)


def _rerun(cache: "Cache", count: int, model: str | None, device: str) -> "list[Difference]":
    from foresight_cache.encoders import load
    from foresight_cache.points import PIXELS
    from foresight_cache.rerun import load_options, rerun

    taps = [point.partition("@")[0] for point in cache.points if point != PIXELS]
    encoder = load(model or cache.fingerprint["model"]["name"], load_options(cache, device), taps)
    return rerun(cache, encoder, count)


def _too_far(differences: "list[Difference]") -> bool:
    from foresight_cache.rerun import TOLERANCE

    return any(row.relative > TOLERANCE for row in differences)
