"""Comma-separated arguments."""

from foresight_cache.errors import UsageError


def words(text: str) -> list[str]:
    """
    >>> words("a, b,")
    ['a', 'b']
    """
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(text: str, option: str) -> list[int]:
    """Raises `UsageError`.

    >>> numbers("0,1", "--seeds")
    [0, 1]
    """
    if not words(text) or not all(word.isdecimal() for word in words(text)):
        raise UsageError(f"{option} {text!r} is no list of whole numbers; give for example {option} 0,1")
    return [int(word) for word in words(text)]
