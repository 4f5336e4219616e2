"""Differences between two fingerprints: what a cache was made from, and what it would be made from now."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from foresight_cache.records import canonical_json

ORIGIN = ("model.name", "model.revision")
"""Fields that say where weights were found; what they are, their digest says."""
_WEIGHTS = "model.weights_digest"


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any], there: str = "in the cache") -> list[str]:
    """Returns one phrase for each field that differs, with both values; `there` says where the stored one is.

    The same weights under another name or revision differ in nothing.

    >>> differences({"model": {"dtype": "bfloat16"}}, {"model": {"dtype": "float32"}})
    ["model.dtype is 'bfloat16' in the cache and 'float32' here"]
    >>> differences({"seed": None, "frames": 1}, {"frames": 1})
    ['seed is None in the cache and absent here']
    >>> old, new = ({"model": {"name": name, "weights_digest": "0a1b"}} for name in ("org/model", "copy"))
    >>> differences(old, new)
    []
    """
    old, new = dict(_leaves(stored)), dict(_leaves(wanted))
    same = _WEIGHTS in old and _spelling(old, _WEIGHTS) == _spelling(new, _WEIGHTS)
    alike = [name for name in ORIGIN if same and name in old and name in new]
    return _phrases(old, new, (old.keys() | new.keys()).difference(alike), there)


def origin_differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns one phrase for each field that differs of those that say where the weights were found."""
    return _phrases(dict(_leaves(stored)), dict(_leaves(wanted)), ORIGIN, "in the cache")


def _phrases(old: Mapping[str, Any], new: Mapping[str, Any], names: Iterable[str], there: str) -> list[str]:
    return [
        f"{name} is {_said(old, name)} {there} and {_said(new, name)} here"
        for name in sorted(names)
        if _spelling(old, name) != _spelling(new, name)
    ]


def refusal(phrases: Sequence[str], start: str, remedy: str) -> str:
    """Returns a short line that names one field that differs, then a line for each of them.

    >>> phrases = differences({"model": {"name": "a", "dtype": "x"}}, {"model": {"name": "b", "dtype": "y"}})
    >>> print(refusal(phrases, "C was made with another", "use another --out"))
    C was made with another model.name (1 more field differs); use another --out
      model.dtype is 'x' in the cache and 'y' here
      model.name is 'a' in the cache and 'b' here
    """
    names = [phrase.partition(" is ")[0] for phrase in phrases]
    named = "model.name" if "model.name" in names else names[0]
    others = len(names) - 1
    more = f" ({others} more {'field differs' if others == 1 else 'fields differ'})" if others else ""
    return "\n  ".join([f"{start} {named}{more}; {remedy}", *phrases])


def _spelling(leaves: Mapping[str, Any], name: str) -> bytes | None:
    """Returns what enters the digest: to Python, 1, 1.0 and True are equal."""
    return canonical_json(leaves[name]) if name in leaves else None


def _said(leaves: Mapping[str, Any], name: str) -> str:
    return repr(leaves[name]) if name in leaves else "absent"


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item
