"""Which tokens of a corpus are kept: at most so many contexts of each, decided by token ids alone, before any pass.

Each occurrence has a random number that follows from the seed and from all tokens up to it, and those with the smallest
numbers are kept: the same uniform choice as a reservoir's, whatever the order or the batches. A causal model's state
depends on these tokens alone, so that phrases with one beginning count as one context, that of the first phrase.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from foresight_cache.encoders.bases.language import LanguageEncoder
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.text_index.corpus import Corpus

_AT_ONCE = 8192
"""Phrases that are tokenised together."""
_LEFT_OUT = -1
"""Group of tokens that are not kept."""


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Kept tokens by phrase and position, int64 [R]; each array has one entry for each."""

    phrases_R: np.ndarray
    """Number of the phrase in the corpus."""
    positions_R: np.ndarray
    """Position among the phrase's own tokens, from 0; a token that the model begins every text with is not counted."""
    tokens_R: np.ndarray
    """Ids of the tokens."""

    def __len__(self) -> int:
        return len(self.phrases_R)


class Tokens:
    """A model's tokens of phrases, without a chat template."""

    def __init__(self, encoder: LanguageEncoder) -> None:
        self._encoder, self._tokenizer = encoder, encoder.processor.tokenizer
        self.begin: list[int] = list(encoder.token_ids(""))
        """Ids that the model begins every text with."""
        marks = {number for number, mark in self._tokenizer.added_tokens_decoder.items() if mark.special}
        self.special = np.array(sorted({*marks, *self._tokenizer.all_special_ids, *encoder.visual_ids()}), np.int64)
        """Ids of the model's own marks, which are never kept."""
        self._strings: dict[int, str] = {}

    def of(self, phrases: Sequence[str]) -> list[list[int]]:
        """Returns the ids of phrases, without `begin`."""
        found: list[list[int]] = self._tokenizer(list(phrases), add_special_tokens=False, verbose=False)["input_ids"]
        return found

    def string(self, token: int) -> str:
        """Returns the text of a single token."""
        if token not in self._strings:
            self._strings[token] = self._tokenizer.decode([token])
        return self._strings[token]

    def check(self, corpus: Corpus, first: int, ids: Sequence[Sequence[int]], most: int) -> None:
        """Raises `DatasetError` for a phrase, of those from number `first` on, that is no plain text or too long."""
        lengths = np.array([len(own) for own in ids])
        owners = np.repeat(np.arange(len(ids)), lengths)
        flat = np.concatenate([np.asarray(own, np.int64) for own in ids])
        for number in np.unique(owners[np.isin(flat, self.special)]):
            try:
                self._encoder.check_text(corpus.phrases[first + number])
            except BadSample as error:
                reason = str(error).removeprefix("its prompt ")
                raise DatasetError(f"{corpus.where(first + number)}: the phrase {reason}") from None
        limit = min(most, self._encoder.config.text_config.max_position_embeddings - len(self.begin))
        if len(long := np.flatnonzero(lengths > limit)):
            number = first + int(long[0])
            raise DatasetError(
                f"{corpus.where(number)} has {lengths[long[0]]:,} tokens, expected {limit:,} at most"
                + (f" ({len(long):,} phrases of {len(ids):,} have more)" if len(long) > 1 else "")
                + "; shorten it, or raise --max-tokens as far as the model goes"
            )
        if not lengths.all():
            raise DatasetError(f"{corpus.where(first + int(lengths.argmin()))} has no tokens; take the phrase out")


def chosen_occurrences(
    corpus: Corpus, tokens: Tokens, *, contexts: int, skip: int, max_tokens: int, seed: int, max_rows: int | None
) -> Occurrences:
    """Returns the tokens that are kept, in the order of the corpus. Raises `DatasetError`.

    A token is what it decodes to alone, so that several ids may be one token.
    """
    reservoir = Reservoir(contexts, seed)
    groups: dict[str, int] = {}
    for first in range(0, len(corpus.phrases), _AT_ONCE):
        ids = tokens.of(corpus.phrases[first : first + _AT_ONCE])
        tokens.check(corpus, first, ids, max_tokens)
        unique, places = np.unique(np.concatenate([np.asarray(own, np.int64) for own in ids]), return_inverse=True)
        of_token = np.array([groups.setdefault(tokens.string(int(token)), len(groups)) for token in unique], np.int64)
        of_token[np.isin(unique, tokens.special)] = _LEFT_OUT  # such as what stands for unknown characters
        reservoir.add(first, ids, of_token[places], skip)
    return reservoir.occurrences(max_rows)


class Reservoir:
    """At most `most` occurrences of each group, with the smallest random numbers."""

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._start = most, _mixed(np.array([seed], np.uint64))[0]
        self._kept = np.empty((5, 0), np.int64)
        """Rows: group, random number (as int64), phrase, position, token."""

    def add(self, first: int, ids: Sequence[Sequence[int]], groups: np.ndarray, skip: int) -> None:
        """Adds phrases, numbered from `first` on, whose tokens are of these groups, in order; -1 is left out."""
        lengths = np.array([len(own) for own in ids])
        flat = np.concatenate([np.asarray(own, np.int64) for own in ids])
        phrases = np.repeat(np.arange(len(ids)), lengths)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        positions = np.arange(len(flat)) - np.repeat(starts, lengths)
        numbers = np.empty(len(flat), np.uint64)
        state = np.full(len(ids), self._start)
        for position in range(int(lengths.max(initial=0))):
            there = np.flatnonzero(lengths > position)
            at = starts[there] + position
            state[there] = _mixed(state[there] ^ _mixed(flat[at].astype(np.uint64)))
            numbers[at] = state[there]
        new = np.stack([groups, numbers.view(np.int64), phrases + first, positions, flat])
        self._kept = self._pruned(
            np.concatenate([self._kept, new[:, (positions >= skip) & (groups != _LEFT_OUT)]], axis=1)
        )

    def occurrences(self, max_rows: int | None) -> Occurrences:
        """Returns what is kept, by phrase and position; of more than `max_rows` those with the smallest numbers."""
        _, numbers, phrases, positions, tokens = self._kept
        order = np.argsort(numbers, kind="stable")[:max_rows]
        order = order[np.lexsort((positions[order], phrases[order]))]
        return Occurrences(phrases[order], positions[order], tokens[order])

    def _pruned(self, kept: np.ndarray) -> np.ndarray:
        groups, numbers, phrases, _, _ = kept
        kept = kept[:, np.lexsort((phrases, numbers, groups))]
        again = np.zeros(kept.shape[1], bool)
        again[1:] = (kept[:2, 1:] == kept[:2, :-1]).all(0)
        kept = kept[:, ~again]
        starts = np.flatnonzero(np.diff(kept[0], prepend=-1))
        ranks = np.arange(kept.shape[1]) - np.repeat(starts, np.diff(starts, append=kept.shape[1]))
        chosen: np.ndarray = kept[:, ranks < self._most]
        return chosen


def _mixed(values: np.ndarray) -> np.ndarray:
    """Returns uint64 numbers that look random, by the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def shards_of(occurrences: Occurrences, rows_per_shard: int) -> list[slice]:
    """Returns the rows of each shard: whole phrases, until it has as many rows as it should."""
    ends = np.flatnonzero(np.diff(occurrences.phrases_R, append=-1)) + 1
    return [slice(start, stop) for start, stop in pairwise([0, *_last_and_full(ends, rows_per_shard)])]


def _last_and_full(ends: np.ndarray, rows: int) -> Iterable[int]:
    start = 0
    for end in map(int, ends):
        if end - start >= rows or end == ends[-1]:
            yield end
            start = end
