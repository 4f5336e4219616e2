"""Words that people wrote about an image, and the word that a neighbour stands for."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from foresight_cache.sample_table import SampleTableRow

_WORD = re.compile(r"([^\W_]+)(?:['’][^\W_]+)*")


def words_in(text: str) -> list[str]:
    """Returns the words of a text in lower case, without punctuation and what follows an apostrophe.

    >>> words_in("A dog's ball, on the_grass!")
    ['a', 'dog', 'ball', 'on', 'the', 'grass']
    """
    return _WORD.findall(text.lower().replace("_", " "))


STOP_WORDS = frozenset(
    words_in(
        "a an the this that these those some any each every no all both such other another same "
        "i you he she it we they me him her us them my your his its our their who whom whose which what "
        "of in on at by to from with without into onto over under above below up down off out near next through "
        "between behind beside around along across against about for as than like while during after before inside "
        "outside upon and or but nor so if when where there here not also too very just only "
        "is are was were be been being am has have had having do does did doing can could will would may might must "
        "shall should s t re ve ll d m don isn aren wasn weren doesn didn hasn haven hadn couldn wouldn shouldn won let"
    )
)
"""Words of English grammar, which say nothing of an image."""
MEDIUM_WORDS = frozenset(
    words_in(
        "image images photo photos photograph photographs picture pictures view scene background foreground camera "
        "shot snapshot close closeup"
    )
)
"""Words about a picture as a picture, which fit every image; they are counted apart, as the original does."""


def telling(words: Iterable[str]) -> frozenset[str]:
    """Returns the words that can tell an image from others: no stop words, no single letters, none of the medium.

    >>> sorted(telling(["a", "photo", "of", "two", "dogs", "x"]))
    ['dogs', 'two']
    """
    return frozenset(word for word in words if len(word) > 1 and word not in STOP_WORDS | MEDIUM_WORDS)


def words_of_image(row: SampleTableRow) -> frozenset[str]:
    """Returns the telling words of a sample's captions, or, where these have none, of the names of what it shows.

    Names are those of objects, class, scene and action. Empty where nobody wrote anything about it.
    """
    annotations = row["annotations"]
    return _telling_words(annotations.get("captions") or ()) or _telling_words(_names(annotations))


def _telling_words(texts: Iterable[str]) -> frozenset[str]:
    return telling(word for text in texts for word in words_in(text))


def _names(annotations: Mapping[str, Any]) -> Iterator[str]:
    parts = [annotations, *(annotations.get(kind) or {} for kind in ("tracks", "motion"))]
    yield from (str(own["category"]) for part in parts for own in part.get("objects") or () if own.get("category"))
    for kind, field in (("class", "name"), ("action", "label")):
        yield str((annotations.get(kind) or {}).get(field) or "")
    yield str(annotations.get("scene") or "")


def whole_word(token: str, phrase: str | None) -> str:
    """Returns the word that a token stands for, in lower case: of a phrase the first word that the token is or is in.

    A token that begins with a space begins its word. Tokens of no phrase stand for themselves.

    >>> whole_word(" cat", "a catalogue of one cat"), whole_word("alogue", "a catalogue"), whole_word(" Dog", None)
    ('cat', 'catalogue', 'dog')
    """
    own = "".join(words_in(token)[:1]) or token.strip().lower()
    if not phrase or not own:
        return own
    words = words_in(phrase)
    if own in words:
        return own
    begins = [word for word in words if word.startswith(own)] if token[:1].isspace() else []
    return next(iter([*begins, *(word for word in words if own in word)]), own)
