"""Puts generated tables into pages, between the two lines that mark their place."""

from pathlib import Path


def place_table(page: Path, name: str, table: str) -> None:
    """Replaces what stands in a page between `<!-- name -->` and `<!-- end of name -->`.

    Raises `ValueError` where the page has no such lines.
    """
    begin, end = marks(name)
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no place for the table, expected the lines {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{table}\n{end}{after}", encoding="utf-8")


def marks(name: str) -> tuple[str, str]:
    """Returns the lines before and after a table.

    >>> marks("calibration table")
    ('<!-- calibration table -->', '<!-- end of calibration table -->')
    """
    return f"<!-- {name} -->", f"<!-- end of {name} -->"
