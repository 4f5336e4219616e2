import json
from typing import Annotated

import typer

Place = Annotated[str, typer.Argument(help="Folder or URL (s3://…) of a cache.")]
Json = Annotated[bool, typer.Option("--json", help="Print the findings as JSON, for programs.")]


def run(cache: Place, json_output: Json = False) -> None:
    """Re-check every checksum of a cache and list all that is wrong.

    Exit status 0 means that every committed byte is as it was written, and that no shard is missing.

    Example: foresight verify caches/coco
    """
    from foresight_cache import open_cache
    from foresight_cache.verify import verify
    from pipelines.progress import progress

    opened = open_cache(cache)
    with progress("verify", opened.layout.samples) as advance:
        findings = verify(opened, advance)
    if json_output:
        print(json.dumps([{"place": finding.place, "problem": finding.problem} for finding in findings]))
    else:
        for finding in findings:
            print(f"{finding.place}: {finding.problem}")
        print(f"{cache}: {len(findings) or 'no'} finding{'s' * (len(findings) != 1)}")
    raise typer.Exit(1 if findings else 0)
