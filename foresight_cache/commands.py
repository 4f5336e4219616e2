"""Command lines that messages tell the user to run, with places as a shell takes them."""

import shlex


def repair_command(place: str, other: str | None = None) -> str:
    """Returns the command that mends a cache from another copy, or takes out what is damaged.

    >>> repair_command("my caches/coco", "s3://bucket/coco"), repair_command("coco")
    ("foresight repair 'my caches/coco' --from s3://bucket/coco", 'foresight repair coco')
    """
    source = f" --from {shlex.quote(other)}" if other else ""
    return f"foresight repair {shlex.quote(place)}{source}"
