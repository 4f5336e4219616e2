"""Finds out how names in annotations are spelled otherwise than those of the files that they mean."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from foresight_cache.datasets.parts.folder_walk import walk

_SEPARATORS = re.compile(r"[\\/]")
_REPEATED = re.compile(r"(^|/)([^/]+/)\2")


def _slashes(name: str) -> str:
    return name.replace("\\", "/")


def _once(name: str) -> str:
    return _REPEATED.sub(r"\1\2", name, count=1)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _last(name: str) -> str:
    return f"{name.partition('/')[0]}/{_SEPARATORS.split(name)[-1]}"


_SPELLINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("have backslashes", _slashes),
    ("begin with the name of the folder that they lie in", _once),
    ("are percent-encoded", unquote),
    ("differ in how letters with accents are written (composed or not)", _composed),
    ("differ in upper and lower case", str.lower),
    ("have folders that are not there", _last),
    ("differ in several ways", lambda name: _composed(unquote(_last(name))).lower()),
)
"""Ways in which lists and folders differ as a whole, the plainest first, and what makes both sides equal."""


def spelled_otherwise(root: Path, listed: Sequence[str]) -> str | None:
    """Returns a clause that says how paths below the root differ from those of files there; None where they do not.

    None of `listed` is there. Raises `DatasetError` for a folder that cannot be read.
    """
    there = [folder.prefix + name for folder in walk(root) for name in folder.files]
    for how, key in _SPELLINGS:
        by_key = {key(name): name for name in there}
        found = [by_key[key(name)] for name in listed if key(name) in by_key]
        if found and 2 * len(found) > len(listed):
            count = "all" if len(found) == len(listed) else f"{len(found):,}"
            return f"the file names that are listed {how}; as {found[0]!a} and so on {count} of them are there"
    return None
