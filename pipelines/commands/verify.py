from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.options import Json

if TYPE_CHECKING:
    from foresight_cache import Cache
    from foresight_cache.extraction.rerun import Difference
    from foresight_cache.verify import Finding

Place = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
Sample = Annotated[
    int | None,
    typer.Option(min=1, help="Read so many random samples instead of every byte.", show_default="every byte"),
]
Values = Annotated[
    bool, typer.Option("--values", help="Also look for numbers that are NaN or infinite.", show_default="off")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the samples that --sample and --rerun choose.")]
Rerun = Annotated[int, typer.Option(min=0, help="Also extract so many random samples again and compare.")]
Model = Annotated[
    str | None,
    typer.Option(
        help="Hugging Face id or local directory of the model, for --rerun.", show_default="the name in the cache"
    ),
]
Device = Annotated[str, typer.Option(help="Device for --rerun: auto, cpu, cuda …")]


def run(
    cache: Place,
    sample: Sample = None,
    values: Values = False,
    rerun: Rerun = 0,
    seed: Seed = 0,
    model: Model = None,
    device: Device = "auto",
    json_output: Json = False,
) -> None:
    """Re-check every checksum of a cache and list all that is wrong.

    Exit status 0 means that every shard is there and every byte is as it was written. Files that are no part of the
    cache are listed and do no harm. With --sample, the commits and the sizes of all stored files are checked, but the
    features of some random samples only. With --values, samples with numbers that are NaN or infinite, from which
    nothing can be learnt, are listed by point. With --rerun, features are computed again from the cached pixels and the
    largest difference of each point is shown; more than 2 % of the point's largest value fails.

    Example: foresight verify caches/coco --sample 100 --rerun 3
    """
    from foresight_cache import open_cache
    from pipelines.output import print_json

    opened = open_cache(cache)
    findings, scope = _verified(opened, sample, seed)
    if values and all(finding.harmless for finding in findings):
        findings = [*findings, *_not_finite(opened)]
    harmful = [finding for finding in findings if not finding.harmless]
    differing = _rerun(opened, rerun, seed, model, device) if rerun and not harmful else []
    if json_output:
        print_json({"findings": list(map(asdict, findings)), "rerun": list(map(asdict, differing)), **scope})
    else:
        for finding in findings:
            print(f"{finding.place}: {finding.problem}")
        for row in differing:
            print(f"{row.point}: largest difference {row.absolute:.3g} ({row.relative:.3%} of the largest value)")
        if scope:
            print(f"{cache}: {scope['checked']} of {scope['samples']} samples were read")
        told = f"{len(findings) or 'no'} finding{'s' * (len(findings) != 1)}"
        print(f"{cache}: {told}{', harmless' if findings and not harmful else ''}")
    raise typer.Exit(1 if harmful or _too_far(differing) else 0)


def _verified(cache: "Cache", sample: int | None, seed: int) -> "tuple[list[Finding], dict[str, int]]":
    """What is wrong; and of a sample, how many were read of how many."""
    from foresight_cache.verify import verify, verify_sample
    from pipelines.progress_bar import progress

    if sample is None:
        with progress("verify", cache.layout.samples) as advance:
            return verify(cache, advance), {}
    report = verify_sample(cache, sample, seed)
    return report.findings, {"checked": report.checked, "samples": report.samples}


def _not_finite(cache: "Cache") -> "list[Finding]":
    from foresight_cache.verify import verify_values
    from pipelines.progress_bar import progress

    with progress("values", len(cache)) as advance:
        return verify_values(cache, advance)


def _rerun(cache: "Cache", count: int, seed: int, model: str | None, device: str) -> "list[Difference]":
    from foresight_cache.encoders import describe, load
    from foresight_cache.extraction.rerun import load_options, rerun
    from foresight_cache.points import PIXELS

    made_by, options = cache.fingerprint["model"], load_options(cache, device)
    of_hub = made_by["revision"] and "/" in made_by["name"]
    name = model or (f"{made_by['name']}@{made_by['revision']}" if of_hub else made_by["name"])
    taps = {name.partition("@")[0] for name in cache.arrays if name != PIXELS}
    # Another model may lack some; which model it is `rerun` checks.
    encoder = load(name, options, [tap.name for tap in describe(name, options).taps if tap.name in taps])
    return rerun(cache, encoder, count, seed)


def _too_far(differences: "list[Difference]") -> bool:
    from foresight_cache.extraction.rerun import TOLERANCE

    return any(row.relative > TOLERANCE for row in differences)
