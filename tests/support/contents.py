"""The list of contents at the head of a page, and whether it names the page's headings."""

import re
from pathlib import Path


def contents(page: Path) -> dict[str, str]:
    """Returns the anchors by name, which are those of the page's headings, all of them in order."""
    html = page.read_text()
    (listed,) = re.findall(r'<nav class="contents" aria-label="Contents">(.*?)</nav>', html, re.DOTALL)
    found = {name: anchor for anchor, name in re.findall(r'<a href="#([^"]+)">([^<]+)</a>', listed)}
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", html) == list(found), "the headings, in order"
    for name, anchor in found.items():
        assert re.findall(rf'<[^>]* id="{anchor}"[^>]*>[^<]*', html) == [f'<h2 id="{anchor}">{name}']
    return found
