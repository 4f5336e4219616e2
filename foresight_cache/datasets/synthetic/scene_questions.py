"""Asks questions with known answers about scenes like those of `shapes`, in the layout of `qa-jsonl`.

Each scene has three questions of different types, whose answer, yes or no, follows from the boxes of its objects, which
every question carries along. Which answer it is, is drawn first, so that neither the type nor the words of a question
tell it. Scenes come in turn from two sources, which differ in how often they ask each type.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from foresight_cache.datasets.synthetic import shapes
from foresight_cache.errors import UsageError

TAKES_SOURCE = False
QUESTIONS = 3
"""Questions about each scene."""
SOURCES: Mapping[str, Mapping[str, float]] = {
    "drawn-a": {"presence": 0.4, "counting": 0.3, "relation": 0.1, "attribute": 0.2},
    "drawn-b": {"presence": 0.1, "counting": 0.2, "relation": 0.4, "attribute": 0.3},
}
"""Weight of each type of question in each source; of a single object no relation is asked."""
CATEGORIES = tuple(f"{colour} {shape}" for shape in shapes.SHAPES for colour in shapes.COLOURS)
"""Names of objects, such as "red circle", by their category id from 1 on."""
_NUMBERS = ("one", "two", "three", "four", "five")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Object:
    colour: str
    shape: str
    box: tuple[int, int, int, int]
    """x, y, width and height in pixels."""
    area: int

    @property
    def centre(self) -> tuple[float, float]:
        x, y, width, height = self.box
        return x + width / 2, y + height / 2


_Objects = Sequence[_Object]
_Item = TypeVar("_Item")


def generate(root: Path, *, count: int, seed: int) -> None:
    """Writes `count` questions, three for each scene of 448×448 pixels and up to five objects, under a root.

    Scene `i` and its questions depend on the seed and on `i` alone. Raises `UsageError` for a count below 1 or a
    negative seed.
    """
    if count < 1 or seed < 0:
        raise UsageError(
            f"{count} questions with seed {seed} cannot be made; the count is 1 or more, the seed 0 or more"
        )
    (root / "images").mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for index in range(-(-count // QUESTIONS)):
        random = np.random.default_rng([seed, index])
        pixels, owner, kinds, colours = shapes.draw_scene(random, shapes.MOST_OBJECTS)
        image = f"images/{index:08d}.png"
        Image.fromarray(pixels).save(root / image, compress_level=1)
        masks = [owner == number for number in range(1, len(kinds) + 1)]
        objects = [
            _Object(colour=colour, shape=shape, box=shapes.box_around(mask), area=int(mask.sum()))
            for colour, shape, mask in zip(colours, kinds, masks, strict=True)
        ]
        common = {"image": image, "objects": [_annotation(thing, n) for n, thing in enumerate(objects, start=1)]}
        source = list(SOURCES)[index % len(SOURCES)]
        lines += [json.dumps({**common, **asked, "source": source}) for asked in _questions(random, objects, source)]
    (root / f"{shapes.SPLIT}.jsonl").write_text("\n".join(lines[:count]) + "\n", encoding="utf-8")


def _annotation(thing: _Object, number: int) -> dict[str, Any]:
    x, y, width, height = thing.box
    category = f"{thing.colour} {thing.shape}"
    return {
        "box": [x, y, x + width, y + height],
        "category": category,
        "category_id": CATEGORIES.index(category) + 1,
        "crowd": False,
        "area": thing.area,
        "annotation_id": number,
    }


def _questions(random: np.random.Generator, objects: _Objects, source: str) -> list[dict[str, Any]]:
    """Draws questions of different types by the weights of a source, each with its answer, yes or no as likely."""
    possible = [name for name in SOURCES[source] if name != "relation" or len(objects) > 1]
    if not any(_alone(thing, objects) for thing in objects):
        possible.remove("attribute")
    weights = np.array([SOURCES[source][name] for name in possible])
    drawn = random.choice(len(possible), size=QUESTIONS, replace=False, p=weights / weights.sum())
    asked = []
    for name in (possible[number] for number in drawn):
        truth = bool(random.integers(2))
        question = _ASKED[name](random, objects, truth)
        asked.append({"question": question, "references": ["yes" if truth else "no"], "type": name})
    return asked


def _presence(random: np.random.Generator, objects: _Objects, truth: bool) -> str:
    """Asks for an object, or for one that shares its colour or its shape with an object and is not there."""
    thing = _one_of(random, objects)
    colour, shape = thing.colour, thing.shape
    if not truth and random.integers(2):
        shape = _one_of(random, [other for other in shapes.SHAPES if other != shape])
    elif not truth:
        taken = {other.colour for other in objects if other.shape == shape}
        colour = _one_of(random, [other for other in shapes.COLOURS if other not in taken])
    return f"Is there a {colour} {shape}?"


def _counting(random: np.random.Generator, objects: _Objects, truth: bool) -> str:
    right = _NUMBERS[len(objects) - 1]
    number = right if truth else _one_of(random, [other for other in _NUMBERS if other != right])
    return f"Is there exactly {number} shape?" if number == "one" else f"Are there exactly {number} shapes?"


def _relation(random: np.random.Generator, objects: _Objects, truth: bool) -> str:
    """Asks along the axis on which the centres of two objects are farther apart."""
    first, second = (objects[number] for number in random.choice(len(objects), size=2, replace=False))
    across, down = np.subtract(first.centre, second.centre)
    relations = ("left of", "right of") if abs(across) >= abs(down) else ("above", "below")
    is_second = bool((across if abs(across) >= abs(down) else down) > 0)
    relation = relations[is_second == truth]
    return f"Is the {first.colour} {first.shape} {relation} the {second.colour} {second.shape}?"


def _attribute(random: np.random.Generator, objects: _Objects, truth: bool) -> str:
    """Asks for the colour of the only object of a shape, or for the colour of another object where there is one."""
    thing = _one_of(random, [thing for thing in objects if _alone(thing, objects)])
    others = [other.colour for other in objects if other is not thing]
    absent = [colour for colour in shapes.COLOURS if colour != thing.colour]
    return f"Is the {thing.shape} {thing.colour if truth else _one_of(random, others or absent)}?"


_ASKED: Mapping[str, Callable[[np.random.Generator, _Objects, bool], str]] = {
    "presence": _presence,
    "counting": _counting,
    "relation": _relation,
    "attribute": _attribute,
}


def _alone(thing: _Object, objects: _Objects) -> bool:
    """Returns whether no other object has the same shape."""
    return sum(other.shape == thing.shape for other in objects) == 1


def _one_of(random: np.random.Generator, items: Sequence[_Item]) -> _Item:
    return items[int(random.integers(len(items)))]
