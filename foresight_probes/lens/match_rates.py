"""How often the words near an image's tokens are words about that image, and how often they are words about others."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from foresight_cache.points import Point
from foresight_cache.reader import Cache
from foresight_probes.lens.image_words import MEDIUM_WORDS, whole_word, words_of_image
from foresight_probes.lens.picture_mask import shows_picture
from foresight_probes.metrics import Scores
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.interval import Interval

Place = tuple[str, str]
"""A point and a lens."""
_UNKNOWN = 0
"""Number of all words that no image has."""


@dataclass(frozen=True)
class Rates:
    """Shares of tokens with a word about an image among their nearest, of S images."""

    own_S: np.ndarray
    """About the image itself, float64."""
    others_S: np.ndarray
    """About another image, the mean over those of other groups: what shuffled images give, on average."""
    as_other_S: np.ndarray
    """Of the tokens of other images, by the words about this one."""
    groups: tuple[str, ...]

    @property
    def chance(self) -> float:
        """The mean share over all pairs of images of different groups."""
        return float(self.others_S.mean())

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """`rate`, `chance` and `over_chance`, the difference, with 95 % intervals of images that are drawn again.

        Chance is a mean over pairs, of which each image is in many. An image's part in it is the mean of the pairs in
        which it has the tokens and of those in which it has the words, less the mean of all (the Hájek projection, van
        der Vaart, "Asymptotic Statistics", 1998, chapter 12).
        """
        part_S = self.others_S + self.as_other_S - self.as_other_S.mean()
        return bootstrap(np.stack([self.own_S, part_S], 1), self.groups, _means)


def _means(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    means_R2 = counts_RS @ np.asarray(scores) / counts_RS.sum(1, keepdims=True)
    rate_R, chance_R = means_R2.T
    return {"rate": rate_R, "chance": chance_R, "over_chance": rate_R - chance_R}


@dataclass(slots=True)
class PlaceWords:
    """What is known of the neighbours at one point by one lens."""

    tokens: int = 0
    similarity: float = 0.0
    """Sum over tokens of the nearest word's cosine, or logit."""
    nearest: Counter[str] = field(default_factory=Counter)
    """How often each word is the nearest one."""
    layers: Counter[int] = field(default_factory=Counter)
    """How often the nearest word is in each contextual layer."""
    medium: int = 0
    """Tokens with a word about pictures as such, such as `photo`, among their nearest."""
    first: dict[int, np.ndarray] = field(default_factory=dict)
    """By image: the share of its tokens whose nearest word is one of each image, [S]."""
    any: dict[int, np.ndarray] = field(default_factory=dict)
    """The same of any of their nearest words."""


@dataclass(frozen=True)
class WordCounts:
    """The words of a table, counted."""

    places: Mapping[Place, PlaceWords]
    samples: tuple[str, ...]
    """Ids of samples that have words of their own."""
    groups: tuple[str, ...]
    without: int
    """Samples that nobody wrote anything about, which have no part in rates."""

    def rates(self, place: Place, *, nearest_alone: bool = False) -> Rates | None:
        """Returns shares of tokens by image; None where there are not two groups of images with words."""
        own = self.places[place]
        found = own.first if nearest_alone else own.any
        rows = sorted(found)
        groups = np.array([self.groups[row] for row in rows])
        other_SS = groups[:, None] != groups[None, :]
        if not rows or not other_SS.any(1).all():
            return None
        shares_SS = np.stack([found[row][rows] for row in rows]).astype(np.float64)
        return Rates(
            own_S=np.diag(shares_SS).copy(),
            others_S=(shares_SS * other_SS).sum(1) / other_SS.sum(1),
            as_other_S=(shares_SS * other_SS).sum(0) / other_SS.sum(0),
            groups=tuple(groups.tolist()),
        )


def count_words(table: Path, cache: Cache) -> WordCounts:
    """Counts the words of a table that `word_table.write_words` wrote of a cache, sample by sample.

    Tokens of a letterbox's border are left out.
    """
    by_id = {row["id"]: row for row in cache.rows}
    numbers_of = {row["id"]: number for number, row in enumerate(cache.rows)}
    words = {name: words_of_image(by_id[name]) for name in _ids(table)}
    samples = [name for name, own in words.items() if own]
    numbers = {word: 1 + place for place, word in enumerate(sorted({word for name in samples for word in words[name]}))}
    has_VS = np.zeros((1 + len(numbers), len(samples)), bool)
    for column, name in enumerate(samples):
        has_VS[[numbers[word] for word in words[name]], column] = True
    places: dict[Place, PlaceWords] = {}
    for name, place, every in neighbours(table):
        found = every
        if Point.parse(place[0]).readout == "tokens":
            found = every.of(shows_picture(by_id[name], cache[place[0]].grid_of(numbers_of[name])))
        own = places.setdefault(place, PlaceWords())
        _count(own, found)
        if words[name]:
            _match(own, samples.index(name), found.words_QK, numbers, has_VS)
    return WordCounts(
        places=places,
        samples=tuple(samples),
        groups=tuple(str(by_id[name]["group"]) for name in samples),
        without=len(words) - len(samples),
    )


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The neighbours of one sample's tokens at one place, the nearest first, [Q, K]."""

    words_QK: np.ndarray
    similarity_QK: np.ndarray
    layers_QK: np.ndarray

    def of(self, tokens_Q: np.ndarray) -> "Neighbours":
        """Returns those of some tokens."""
        return Neighbours(self.words_QK[tokens_Q], self.similarity_QK[tokens_Q], self.layers_QK[tokens_Q])


def _ids(table: Path) -> list[str]:
    with pq.ParquetFile(table) as file:
        groups = (file.read_row_group(number, ["sample"])["sample"] for number in range(file.num_row_groups))
        return list(dict.fromkeys(str(name) for group in groups for name in group.unique().to_pylist()))


def neighbours(table: Path) -> Iterator[tuple[str, Place, Neighbours]]:
    """Yields neighbours by sample and place. A row group is a sample; in it, places follow each other."""
    columns = ["sample", "point", "lens", "rank", "token", "phrase", "contextual_layer", "similarity"]
    known: dict[tuple[str, str | None], str] = {}
    with pq.ParquetFile(table) as file:
        for number in range(file.num_row_groups):
            own = file.read_row_group(number, columns).to_pandas()
            for (name, point, lens), rows in own.groupby(["sample", "point", "lens"], sort=False):
                most = int(rows["rank"].max())
                phrases = [phrase if isinstance(phrase, str) else None for phrase in rows["phrase"]]
                pairs = zip(rows["token"], phrases, strict=True)
                words = [known[pair] if pair in known else known.setdefault(pair, whole_word(*pair)) for pair in pairs]
                yield (
                    str(name),
                    (str(point), str(lens)),
                    Neighbours(
                        np.array(words, object).reshape(-1, most),
                        rows["similarity"].to_numpy().reshape(-1, most),
                        rows["contextual_layer"].to_numpy(float, na_value=np.nan).reshape(-1, most),
                    ),
                )


def _count(own: PlaceWords, found: Neighbours) -> None:
    own.tokens += len(found.words_QK)
    own.similarity += float(found.similarity_QK[:, 0].sum(dtype=float))
    own.nearest.update(found.words_QK[:, 0].tolist())
    own.layers.update(int(layer) for layer in found.layers_QK[:, 0].tolist() if np.isfinite(layer))
    own.medium += sum(not MEDIUM_WORDS.isdisjoint(row) for row in found.words_QK.tolist())


def _match(own: PlaceWords, sample: int, words_QK: np.ndarray, numbers: Mapping[str, int], has_VS: np.ndarray) -> None:
    ids_QK = np.array([[numbers.get(word, _UNKNOWN) for word in row] for row in words_QK.tolist()])
    own.first[sample] = has_VS[ids_QK[:, 0]].mean(0, dtype=np.float32)
    own.any[sample] = np.logical_or.reduce([has_VS[ids_Q] for ids_Q in ids_QK.T]).mean(0, dtype=np.float32)
