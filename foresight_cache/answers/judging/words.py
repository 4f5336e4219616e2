"""Texts as whole words, so that no rule finds "no" in "know"."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
REFUSALS = (
    *(
        "cannot tell",
        "can't tell",
        "cannot determine",
        "can't determine",
        "unable to",
        "not able to",
        "not possible to",
    ),
    *("impossible to", "cannot be determined", "can't be determined", "cannot answer", "can't answer", "i'm sorry"),
    *("i am sorry", "i apologize", "cannot assist", "can't assist", "cannot help", "can't help", "not sure", "unsure"),
    *("unclear", "hard to say", "hard to tell", "difficult to say", "difficult to tell", "difficult to determine"),
    *("don't know", "do not know", "not enough information", "insufficient information", "insufficient context"),
    *("cannot confirm", "can't confirm", "cannot see the image", "can't see the image", "no image", "as an ai"),
)
"""Phrases by which a model says that it does not answer."""


def plain(text: str) -> str:
    """Returns a text in one spelling: letters without case, one kind of apostrophe, no marks of emphasis.

    >>> plain("**Yes**, it’s")
    "yes, it's"
    """
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("‘", "'")
    return re.sub(r"[*_`#]+", "", text).strip()


def words(text: str) -> list[str]:
    """Returns the words of a text in one spelling.

    >>> words("I don’t know: 2 Cats")
    ['i', "don't", 'know', '2', 'cats']
    """
    return _WORD.findall(plain(text))


def sentences(text: str) -> list[str]:
    """Returns the sentences of a text, in one spelling.

    >>> sentences("No. There is none.")
    ['no.', 'there is none.']
    """
    return [part for part in _SENTENCE.split(plain(text)) if words(part)]


def places(phrase: str, within: list[str]) -> list[int]:
    """Returns where the words of a phrase stand one after the other.

    >>> places("a cat", words("It is a cat, not a catalogue."))
    [2]
    """
    sought = words(phrase)
    if not sought:
        return []
    return [start for start in range(len(within) - len(sought) + 1) if within[start : start + len(sought)] == sought]


def refusal(text: str) -> str | None:
    """Returns the phrase by which a text refuses to answer, or None.

    >>> refusal("I'm not sure about that."), refusal("No, it is not.")
    ('not sure', None)
    """
    found = words(text)
    return next((phrase for phrase in REFUSALS if places(phrase, found)), None)
