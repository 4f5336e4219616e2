"""Lists in a text with commas, by one rule for all options and files."""

from foresight_cache.errors import UsageError


def split_list(text: str, option: str) -> list[str]:
    """Returns the elements of a comma-separated list, each once, without the spaces around them.

    Raises `UsageError` for an empty element, and for a list without elements; `option` is its name in the sentence.

    >>> split_list("E1, E4,E1", "--points")
    ['E1', 'E4']
    >>> split_list("E1,,E4", "--points")
    Traceback (most recent call last):
    foresight_cache.errors.UsageError: --points is 'E1,,E4', which has an empty element; put one comma between two
    """
    if not text.strip():
        raise UsageError(f"{option} is empty, expected one or more elements with commas between them")
    elements = [element.strip() for element in text.split(",")]
    if "" in elements:
        raise UsageError(f"{option} is {text!r}, which has an empty element; put one comma between two")
    return list(dict.fromkeys(elements))
