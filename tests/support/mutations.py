"""Damaged copies of good inputs: accidents of bytes, and JSON as a careless or a hostile program would write it.

All is a function of the random generator that is handed in, so that a failure comes back with its seed.
"""

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

_TRICKY_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF)
_DEEP = "\x01deep\x01"
"""Stands for a nesting that Python itself cannot hold as a value; it is put into the text."""
HOSTILE_NAMES = (
    *("", ".", "..", "../canary", "../../canary/planted", "/canary", "a/b", "vit.block_01/../../../canary", "\0"),
    *("samples", "samples/.partial", "zarr.json", "c", "\ud800", "vit.block_01\n", "x" * 5000, "%2e%2e/canary", "~"),
)
_HOSTILE_NUMBERS = (
    *(0, -1, 1, 2, 3, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, 0.5, 1.0, 1e308, -0.0),
    *(float("nan"), float("inf"), True, False),
)


def damaged(data: bytes, generator: random.Random, donor: bytes) -> bytes:
    """One to four accidents: flipped bits, bytes that come, go or change, a cut, parts of itself or of a donor."""
    result = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        generator.choice(_ACCIDENTS)(result, generator, donor)
    return bytes(result)


def _flip(data: bytearray, generator: random.Random, donor: bytes) -> None:
    for _ in range(generator.choice((1, 1, 2, 8))):
        if data:
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def _overwrite(data: bytearray, generator: random.Random, donor: bytes) -> None:
    start = generator.randrange(len(data) + 1)
    length = min(generator.choice((1, 2, 4, 8)), len(data) - start)
    data[start : start + length] = bytes([generator.choice(_TRICKY_NUMBERS)]) * length


def _insert(data: bytearray, generator: random.Random, donor: bytes) -> None:
    start = generator.randrange(len(data) + 1)
    data[start:start] = generator.randbytes(generator.choice((1, 2, 16, 700)))


def _delete(data: bytearray, generator: random.Random, donor: bytes) -> None:
    start = generator.randrange(len(data) + 1)
    del data[start : start + generator.choice((1, 2, 16, 700))]


def _truncate(data: bytearray, generator: random.Random, donor: bytes) -> None:
    del data[generator.randrange(len(data) + 1) :]


def _repeat(data: bytearray, generator: random.Random, donor: bytes) -> None:
    start, length = generator.randrange(len(data) + 1), generator.choice((4, 64, 512))
    data[start:start] = data[start : start + length]


def _splice(data: bytearray, generator: random.Random, donor: bytes) -> None:
    cut = generator.randrange(len(data) + 1)
    data[cut:] = donor[generator.randrange(len(donor) + 1) :]


_ACCIDENTS: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    *(_flip, _overwrite, _insert, _delete, _truncate, _repeat, _splice),
)


def distorted(value: Any, generator: random.Random) -> Any:
    """A copy of a JSON value in which one to three things are of the wrong kind, missing, huge or hostile."""
    value = copy.deepcopy(value)
    for _ in range(generator.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return _hostile(None, generator)
        _distort(*generator.choice(places), generator)
    return value


def substitutions(value: Any) -> Iterator[tuple[str, Any]]:
    """Every place of a JSON value, taken away and replaced by every hostile thing, one at a time."""
    for number in range(len(list(_places(value)))):
        for hostile in (*_HOSTILE_NUMBERS, *HOSTILE_NAMES, None, [], {}, [[]], {"a": 1}, _DEEP, ...):
            changed = copy.deepcopy(value)
            container, key = list(_places(changed))[number]
            if hostile is ...:
                del container[key]
            else:
                container[key] = copy.deepcopy(hostile)
            yield f"{key} = {ascii(hostile)[:40]}", changed


def nested(depth: int) -> Any:
    """
    >>> nested(2)
    [[0]]
    """
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def spelled(value: Any, generator: random.Random) -> bytes:
    """The text of a distorted value: with NaN and halves of characters, at times a key twice or endless nesting."""
    text = json.dumps(value, ensure_ascii=generator.random() < 0.5)
    if generator.random() < 0.05:
        text = text.replace("{", '{"format": 1, "sha256": null, ', 1)
    depth = generator.choice((500, 990, 100_000))
    text = text.replace(json.dumps(_DEEP), "[" * depth + "]" * depth).replace(_DEEP, "[" * depth)
    return text.encode("utf-8", "surrogatepass")


def _places(value: Any) -> Any:
    """Every container with a key or index of it."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _distort(container: Any, key: Any, generator: random.Random) -> None:
    action = generator.randrange(10)
    if action == 0:
        del container[key]
    elif action == 1 and isinstance(container, dict):
        container[generator.choice((*HOSTILE_NAMES, str(key) + " "))] = container.pop(key)
    elif action == 1:
        container.insert(key, copy.deepcopy(container[key]))
    elif action == 2:  # a value of its own kind from elsewhere in its container
        others = list(container.values()) if isinstance(container, dict) else container
        container[key] = copy.deepcopy(generator.choice(others))
    elif action == 3 and isinstance(container, dict):
        container[generator.choice(HOSTILE_NAMES)] = copy.deepcopy(container[key])
    else:
        container[key] = _hostile(container[key], generator)


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer that was made hostile before
        return float("inf")


def _hostile(old: Any, generator: random.Random) -> Any:
    if isinstance(old, int | float) and generator.random() < 0.7:
        return generator.choice((*_HOSTILE_NUMBERS, old + 1, -old, _float(old), str(old)))
    if isinstance(old, str) and generator.random() < 0.7:
        return generator.choice((*HOSTILE_NAMES, old + "\0", "../" + old, old.upper(), [old], old + "é"))
    if isinstance(old, list) and old and generator.random() < 0.5:
        return generator.choice((old[::-1], old * 2, old[1:], [old], {str(n): str(each) for n, each in enumerate(old)}))
    choices = (*_HOSTILE_NUMBERS, *HOSTILE_NAMES, None, [], {}, [[]], {"": None}, nested(100), _DEEP, [old], {"a": old})
    return copy.deepcopy(generator.choice(choices))
