"""Groups samples that cannot be used by what is wrong with them, so that one cause is told once."""

import re
from collections.abc import Iterable, Sequence

from foresight_cache.shards import Quarantined

EXAMPLES = 3
"""Samples that are named of each cause."""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]")
_PARTICULAR = re.compile(r"\S*[\d·/\\]\S*")


def causes_of(samples: Iterable[Quarantined]) -> list[list[Quarantined]]:
    """Returns the samples of each cause, in the order in which the causes come first.

    Reasons that differ in names and numbers alone are of one cause.
    """
    causes: dict[str, list[Quarantined]] = {}
    for sample in samples:
        causes.setdefault(_cause(sample), []).append(sample)
    return list(causes.values())


def tell_cause(samples: Sequence[Quarantined]) -> list[str]:
    """Returns lines for the samples of one cause: each with its reason, or of many the number and three of them.

    >>> tell_cause([Quarantined(id="a/b/1", reason="empty")])
    ['a/b/1: empty']
    >>> tell_cause([Quarantined(id=f"a/b/{number}", reason="empty") for number in range(9)])
    ['9 for one reason, such as', '  a/b/0: empty', '  a/b/1: empty', '  a/b/2: empty']
    """
    lines = [f"{sample.id}: {sample.reason}" for sample in samples[:EXAMPLES]]
    if len(samples) <= EXAMPLES:
        return lines
    return [f"{len(samples):,} for one reason, such as", *(f"  {line}" for line in lines)]


def _cause(sample: Quarantined) -> str:
    """Returns a reason without what is of this sample alone.

    >>> _cause(Quarantined(id="a/b/my cup", reason="b/my cup.png: annotation 7 has bbox [1, 2], beyond 9×9 pixels"))
    '· annotation · has bbox · beyond · pixels'
    """
    # The name of its file, which may have blanks in it, as in other words of the reason it would be a word like others.
    general = re.sub(rf"{re.escape(sample.id.rsplit('/', 1)[-1])}\.\w+", "·", sample.reason)
    return _PARTICULAR.sub("·", _QUOTED.sub("·", general))
