"""Tables as plain text, for a person at a terminal."""

from collections.abc import Collection, Iterable, Mapping, Sequence


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[str] = ()) -> list[str]:
    r"""Returns the lines of a table; the columns whose headings are in `right` are aligned to the right.

    >>> print(*text_table(("point", "tokens"), [("pixels", "12,544"), ("E1", "64")], right=("tokens",)), sep="\n")
      point   tokens
      pixels  12,544
      E1          64
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for heading in head:
        table.add_column(Text(heading), justify="right" if heading in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(width=10_000, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return [f"  {line.rstrip()}" for line in capture.get().splitlines()]


def text_list(texts: Mapping[str, str]) -> str:
    """Returns a line for each text, behind its name.

    >>> print(text_list({"a": "first", "long": "second"}))
    a     first
    long  second
    """
    width = max(map(len, texts), default=0)
    return "\n".join(f"{name:{width}}  {text}" for name, text in texts.items())
