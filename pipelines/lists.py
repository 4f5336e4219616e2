"""Comma-separated arguments of commands."""


def words(text: str) -> list[str]:
    """Returns the words of a comma-separated list.

    >>> words("a, b,")
    ['a', 'b']
    """
    return [word.strip() for word in text.split(",") if word.strip()]
