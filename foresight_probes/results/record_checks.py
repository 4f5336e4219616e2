"""What the record of a result must hold, so that every table and page can be made of it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from foresight_cache.records import is_text, shown
from foresight_probes.options import is_possible

Check = Callable[[Any], bool]
_LARGEST = 10**18


def is_number(value: Any) -> bool:
    """Tells whether a value is a finite number.

    >>> is_number(3), is_number(0.5), is_number(True), is_number(float("nan")), is_number(10**400)
    (True, True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _LARGEST if isinstance(value, int) else math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and is_number(value) and value >= 0


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and is_number(value)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _by_name(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(is_text(name) and check(own) for name, own in value.items())


def _several(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _has(needed: Mapping[str, Check], other: Mapping[str, Check] | None = None) -> Check:
    """An object with these fields, and perhaps the others; what else it has is not looked at."""

    def check(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(name in value and own(value[name]) for name, own in needed.items())
            and all(own(value[name]) for name, own in (other or {}).items() if name in value)
        )

    return check


def _is_simple(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or is_number(value)


_INTERVAL = _has({"value": is_number, "low": is_number, "high": is_number})
_MODEL = _has({}, {"name": is_text, "weights": is_text, "dtype": is_text, "taps": _several(is_text)})
_CHOSEN = {
    **dict.fromkeys(("strength", "learning_rate", "weight_decay"), _or_none(is_number)),
    **{"neighbours": _or_none(_is_count), "inputs": _or_none(is_text), "converged": _is_simple},
}
_CACHE = dict.fromkeys(("digest", "data", "path", "dataset", "media"), _or_none(is_text))
_SIZES = ("train", "validation", "test", "left_out", "groups")
FIELDS: Mapping[str, Check] = {
    **dict.fromkeys(("identity", "task", "point", "head", "run", "primary"), is_text),
    **dict.fromkeys(("width", "parameters", "company", "bytes_read"), _is_count),
    **dict.fromkeys(("seed", "order"), _is_whole),
    **dict.fromkeys(("learning_rate", "wall_seconds"), is_number),
    "control": lambda value: isinstance(value, str),
    "metrics": _by_name(_INTERVAL),
    "breakdown": _by_name(_by_name(is_number)),
    "chance": _by_name(is_number),
    "refits": _by_name(_several(is_number)),
    "not_measured": _by_name(is_text),
    "versions": _by_name(is_text),
    "validation": _has({"value": is_number, "epoch": _is_count}, _CHOSEN),
    "options": lambda value: isinstance(value, dict) and all(is_possible(name, own) for name, own in value.items()),
    "split": _has(
        {"digest": is_text, "effective_groups": is_number, **dict.fromkeys(_SIZES, _is_count)},
        {"classes": _by_name(_is_count)},
    ),
    "cache": _has({}, {**_CACHE, "model": _MODEL, "fingerprint": lambda value: isinstance(value, dict)}),
    "controls": _by_name(lambda value: isinstance(value, dict)),
}
"""Checks of the fields of a record, by the names that they have in files."""


def require_sound(record: Mapping[str, Any], *, of_fold: bool = False) -> None:
    """Raises `ValueError`, with the name of the field and what it holds, for a record that nothing can be made of.

    On the few samples of a fold its primary metric need not be defined; it is on those of all folds.
    """
    for name, is_sound in FIELDS.items():
        if name not in record:
            raise ValueError(f"{name} is missing")
        if not is_sound(record[name]):
            raise ValueError(f"{name} is {shown(record[name])}, which no result has")
    if not of_fold and record["primary"] not in record["metrics"]:
        raise ValueError(f"the primary metric {record['primary']!r} is missing")
