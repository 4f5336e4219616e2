"""Identity: canonical JSON, its digest, and what differs between two of them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    >>> canonical_json({"b": 1, "a": [1.5, "é"]}).decode()
    '{"a":[1.5,"é"],"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """One phrase for each field that differs, with both values.

    >>> differences({"model": {"dtype": "bfloat16"}}, {"model": {"dtype": "float32"}})
    ["model.dtype is 'bfloat16' in the cache and 'float32' here"]
    >>> differences({"seed": None, "frames": 1}, {"frames": 1})
    ['seed is None in the cache and absent here']
    """
    old, new = dict(_leaves(stored)), dict(_leaves(wanted))
    return [
        f"{name} is {_said(old, name)} in the cache and {_said(new, name)} here"
        for name in sorted(old.keys() | new.keys())
        if _spelling(old, name) != _spelling(new, name)
    ]


def _spelling(leaves: Mapping[str, Any], name: str) -> bytes | None:
    """What enters the digest: to Python, 1, 1.0 and True are equal."""
    return canonical_json(leaves[name]) if name in leaves else None


def _said(leaves: Mapping[str, Any], name: str) -> str:
    return repr(leaves[name]) if name in leaves else "absent"


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item
