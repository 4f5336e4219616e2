"""The categories of objects, whose ids may be any numbers, as classes."""

from collections.abc import Iterable, Mapping
from typing import Any


def numbered(samples: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """Returns the class of each category id that occurs in rows of a cache's sample table, from 1 in the order of ids.

    >>> numbered([{"annotations": {"objects": [{"category_id": 1203}, {"category_id": 7}]}}, {"annotations": {}}])
    {7: 1, 1203: 2}
    """
    ids = {thing["category_id"] for sample in samples for thing in sample["annotations"].get("objects", ())}
    return {name: number for number, name in enumerate(sorted(ids), start=1)}


def category_names(samples: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Returns the name of each class of `numbered`.

    >>> category_names([{"annotations": {"objects": [{"category_id": 7, "category": "cat"}]}}])
    {1: 'cat'}
    """
    things = [thing for sample in samples for thing in sample["annotations"].get("objects", ())]
    names = {thing["category_id"]: thing.get("category", f"category {thing['category_id']}") for thing in things}
    return {number: names[own] for number, own in enumerate(sorted(names), start=1)}
