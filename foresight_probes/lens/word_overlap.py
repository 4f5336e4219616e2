"""How alike two tables of words are, such as those of an index of all phrases and of an index of a few."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_probes.lens.match_rates import Place, neighbours


@dataclass(frozen=True, kw_only=True, slots=True)
class WordOverlap:
    """How alike the words of the same tokens are at one point by one lens."""

    point: str
    lens: str
    tokens: int
    same: float
    """Share of tokens whose nearest word is the same."""
    shared: float
    """Mean over tokens of the different words that both have, over those that either has (Jaccard)."""


def overlaps(one: Path, other: Path) -> list[WordOverlap]:
    """Compares two tables that `word_table.write_words` wrote, at what both have.

    Raises `ProbeError` where they have no tokens in common.
    """
    known = {(sample, place): found.words_QK for sample, place, found in neighbours(other)}
    same: dict[Place, list[np.ndarray]] = {}
    shared: dict[Place, list[float]] = {}
    for sample, place, found in neighbours(one):
        words_QK = known.get((sample, place))
        if words_QK is None or len(words_QK) != len(found.words_QK):
            continue
        same.setdefault(place, []).append(found.words_QK[:, 0] == words_QK[:, 0])
        pairs = zip(map(set, found.words_QK.tolist()), map(set, words_QK.tolist()), strict=True)
        shared.setdefault(place, []).extend(len(own & its) / len(own | its) for own, its in pairs)
    if not same:
        raise ProbeError(
            f"{one} and {other} have no tokens in common; compare what 'foresight lens run' wrote from one cache"
        )
    return [
        WordOverlap(
            point=point,
            lens=lens,
            tokens=len(shared[point, lens]),
            same=float(np.concatenate(values).mean()),
            shared=float(np.mean(shared[point, lens])),
        )
        for (point, lens), values in same.items()
    ]
