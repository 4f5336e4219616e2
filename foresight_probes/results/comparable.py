"""What must be the same for results to stand beside each other in a table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_probes.options import EXECUTION_FIELDS, REPETITIONS
from foresight_probes.results.result import Result

OF_GRIDS = ("learning_rate", "weight_decay")
"""Options of which each run may have its own, as it does in a grid."""
OF_INTERVALS = ("resamples", "confidence")
"""Options that change how sure a number is said to be, and not the number."""


_LONGEST = 40
"""Letters of a value that are shown."""


def recipe_of(result: Result, *, without: Iterable[str] = ()) -> dict[str, Any]:
    """Returns the options that a result depends on but those of grids and some others."""
    left_out = {*EXECUTION_FIELDS, *OF_GRIDS, *without}
    defaults = REPETITIONS if "epochs" in result.options else {}  # the mean predictor has neither
    return {name: value for name, value in {**defaults, **result.options}.items() if name not in left_out}


def require_comparable(results: Sequence[Result]) -> None:
    """Raises `ProbeError`, with the names of what differs, unless results of a task may stand in one table.

    Caches, prepared data, splits and recipes must be the same. The mean predictor has few options, which it shares.
    """
    for task in dict.fromkeys(result.task for result in results):
        own = [result for result in results if result.task == task]
        for what, facts in {
            "caches": [{"": str(result.cache.get("digest"))[:12]} for result in own],
            "prepared datasets": [{"": str(result.cache.get("data"))[:12]} for result in own],
            "splits": [{"": str(result.split.get("digest"))[:12]} for result in own],
            "options": [recipe_of(result) for result in own],
            "first metrics": [{"": result.primary} for result in own],
        }.items():
            differing = _differing(facts)
            if differing:
                raise ProbeError(
                    f"the results of {task} have different {what} ({differing}), so that they may not stand beside "
                    "each other; keep each in its own folder, or train them again alike"
                )


def cache_differences(one: Result, other: Result) -> list[str]:
    """Returns one phrase for each field in which the fingerprints of two results' caches differ, with both values.

    Of older results, which do not have all fields, the digests stand for those that are not known.
    """
    if one.cache.get("digest") == other.cache.get("digest"):
        return []
    facts = [_fingerprint_of(result) for result in (one, other)]
    names = [name for name in sorted({*facts[0], *facts[1]}) if facts[0].get(name) != facts[1].get(name)]
    if not names:
        digests = (str(result.cache.get("digest"))[:12] for result in (one, other))
        return [f"what the results do not say of them (fingerprints {' and '.join(digests)})"]
    return [f"{name} ({_short(facts[0].get(name))} and {_short(facts[1].get(name))})" for name in names]


def _fingerprint_of(result: Result) -> dict[str, Any]:
    """Returns what a result knows of its cache's fingerprint, flat."""
    own = result.cache
    known = {"dataset": {"name": own.get("dataset")}, "model": own.get("model", {}), **own.get("fingerprint", {})}
    return dict(_leaves(known))


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inner


def _short(value: Any) -> str:
    """Returns a value in words, of long ones the beginning."""
    text = "absent" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _differing(facts: Sequence[Mapping[str, Any]]) -> str:
    """Names the facts of which several values occur, among those that have them."""
    names = dict.fromkeys(name for own in facts for name in own)
    values = {name: dict.fromkeys(str(own[name]) for own in facts if name in own) for name in names}
    return "; ".join(f"{name} {_some(found)}".strip() for name, found in values.items() if len(found) > 1)


def _some(values: Iterable[str]) -> str:
    """Returns two of some values."""
    first, second, *others = values
    return f"{first} and {second}" + (f" and {len(others)} more" if others else "")
