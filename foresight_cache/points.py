"""Names of extraction points: `tap@readout`, aliases of the research plans, numbers of papers, patterns and sets.

A tap is a layer of the model whose output is taken (`vit.block_08`), a readout is what of it is kept. `tap` alone means
`tap@tokens`. Block and layer numbers start at 1. Aliases keep their fraction of the depth on a model of
another depth; what is stored is always the true tap name.
"""

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from foresight_cache.errors import UnknownName, UsageError

READOUTS = ("tokens", "mean", "last_vision", "last_query", "cls", "text", "last_question", "halp_vision")
OF_TEXT = ("last_query", "text", "last_question", "halp_vision")
"""Readouts for which the prompt is run to its end, mostly of its own tokens; they exist at `llm.*` taps only."""
PIXELS = "pixels"
"""The resized input itself, uint8; every cache has it."""
LABELS = "labels"
"""Dense labels of the resized input, uint8; a cache of a dataset with such labels has them. No point: a target."""


@dataclass(frozen=True, slots=True)
class Point:
    """A tap and what of it is kept.

    >>> str(Point("llm.layer_14")), str(Point("llm.layer_14", "mean"))
    ('llm.layer_14', 'llm.layer_14@mean')
    """

    tap: str
    readout: str = "tokens"

    def __str__(self) -> str:
        return self.tap if self.readout == "tokens" else f"{self.tap}@{self.readout}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the point that a text names. Raises `UnknownName` for a readout that does not exist."""
        tap, separator, readout = text.partition("@")
        if separator and readout not in READOUTS:
            raise UnknownName("readout", readout, READOUTS)
        return cls(tap, readout or "tokens")


_LAYER = "llm.layer_"


@dataclass(frozen=True, slots=True)
class _Depths:
    """Numbers of vision blocks and of language layers."""

    blocks: int
    layers: int

    def block(self, fraction: float) -> str:
        """Returns the block at a fraction of the depth: 1/4 of 32 is block 08."""
        return f"vit.block_{max(1, round(self.blocks * fraction)):02d}"

    def layer(self, fraction: float) -> str:
        """Returns the layer at a fraction of the depth: 1/2 of 28 is layer 14."""
        return f"llm.layer_{max(1, round(self.layers * fraction)):02d}"

    def layer_after(self, fraction: float) -> str:
        """Returns the layer that follows a fraction of the depth: after 1/4 of 28 comes layer 08."""
        return f"llm.layer_{min(self.layers, int(self.layers * fraction) + 1):02d}"

    def layers_of_halp(self, *readouts: str) -> list[str]:
        """Returns readouts of the first layer, of those after a quarter, a half and three quarters, and of the last."""
        fractions = (0, 1 / 4, 1 / 2, 3 / 4, 1)
        return [f"{self.layer_after(fraction)}@{readout}" for fraction in fractions for readout in readouts]

    def states_of_latentlens(self) -> list[str]:
        """Returns what enters the first layer, and the layers 1, 2, 4, 8, 16, 24 and the two before the last."""
        near = {number for number in (1, 2, 4, 8, 16, 24) if number < self.layers}
        numbers = sorted(near | {number for number in (self.layers - 2, self.layers - 1) if number > 0})
        return ["llm.embed", *(f"{_LAYER}{number:02d}" for number in numbers)]


_ALIASES: dict[str, Callable[[_Depths], str]] = {
    "E1": lambda _: "vit.patch_embed",
    "E2": lambda depths: depths.block(1 / 4),
    "E3": lambda depths: depths.block(1 / 2),
    "E4": lambda _: "vit.pre_merge",
    "E5": lambda _: "vit.post_merge",
    "E6": lambda _: "llm.layer_01",
    "E7": lambda depths: depths.layer(1 / 2),
    "E8": lambda depths: depths.layer(1),
}

_MEANS = ("vit.pre_merge@mean", "vit.post_merge@mean")

_SETS: dict[str, Callable[[_Depths], list[str]]] = {
    "q2": lambda depths: [*_ALIASES, depths.layer(1 / 4), depths.layer(3 / 4)],
    "c1": lambda depths: [
        *("vit.block_01", depths.block(6 / 32), depths.block(12 / 32), depths.block(18 / 32), depths.block(24 / 32)),
        *("vit.pre_merge", "vit.post_merge"),
    ],
    "pivot1": lambda depths: [
        *(depths.block(6 / 32), depths.block(12 / 32), depths.block(18 / 32)),
        *("vit.pre_merge", "vit.post_merge"),
    ],
    "halp": lambda depths: [*_MEANS, *depths.layers_of_halp("last_vision", "last_query")],
    "halp-vision": lambda depths: [*_MEANS, *depths.layers_of_halp("last_vision")],
    "halp-query": lambda depths: depths.layers_of_halp("last_query"),
    "halp-question": lambda depths: depths.layers_of_halp("last_question"),
    "halp-published": lambda depths: depths.layers_of_halp("halp_vision"),
    "latentlens": lambda depths: depths.states_of_latentlens(),
    "latentlens-text": lambda depths: [f"{tap}@text" for tap in depths.states_of_latentlens()],
}

NUMBERINGS = ("halp:", "latentlens:")
"""What stands before a paper's own number of a layer; see `numbered_layers`."""

SHORT_NAMES = (*_ALIASES, *_SETS)
"""Aliases of single points and names of sets, which `resolve` understands on any model that has these points."""


def aliases(taps: Sequence[str]) -> dict[str, str]:
    """Returns the aliases E1…E8 that exist on a model with these taps, each with the tap that it means.

    >>> model = ["vit.patch_embed", *(f"vit.block_{k:02d}" for k in range(1, 9)), "vit.pre_merge"]
    >>> aliases(model)
    {'E1': 'vit.patch_embed', 'E2': 'vit.block_02', 'E3': 'vit.block_04', 'E4': 'vit.pre_merge'}
    """
    depths = _depths(taps)
    return {alias: tap for alias, name in _ALIASES.items() if (tap := name(depths)) in taps}


def is_numbered(text: str) -> bool:
    """Returns whether a text is a paper's number of a layer, such as `halp:27`, on whichever model."""
    return text.startswith(NUMBERINGS)


def numbered_layers(taps: Sequence[str]) -> dict[str, str]:
    """Returns the numbers that papers give to the layers of a model with these taps, each with the tap that it means.

    HALP counts decoder layers from 0. LatentLens counts `output_hidden_states` of transformers, where 0 is what enters
    the first layer and the last one is after the final norm, so that the last layer itself has no number.

    >>> model = ["llm.embed", "llm.layer_01", "llm.layer_02", "llm.layer_03", "llm.final_norm"]
    >>> [f"{text} {tap}" for text, tap in numbered_layers(model).items()][:3]
    ['halp:0 llm.layer_01', 'halp:1 llm.layer_02', 'halp:2 llm.layer_03']
    >>> [tap for text, tap in numbered_layers(model).items() if text.startswith("latentlens:")]
    ['llm.embed', 'llm.layer_01', 'llm.layer_02', 'llm.final_norm']
    """
    layers = {int(tap.removeprefix(_LAYER)): tap for tap in taps if tap.startswith(_LAYER)}
    if not layers:
        return {}
    states = {0: "llm.embed", **layers, max(layers): "llm.final_norm"}
    numbered: dict[str, str] = {f"halp:{number - 1}": tap for number, tap in layers.items()}
    numbered |= {f"latentlens:{number}": tap for number, tap in states.items()}
    return {text: tap for text, tap in numbered.items() if tap in taps}


def members(text: str, taps: Sequence[str]) -> tuple[str, ...]:
    """Returns the texts that a set (`q2`) stands for on a model, whether it has these points or not; others themselves.

    >>> members("q2", ["vit.block_01"])[:4], members("vit.*", ["vit.block_01"])
    (('E1', 'E2', 'E3', 'E4'), ('vit.*',))
    """
    return tuple(_SETS[text](_depths(taps))) if text in _SETS else (text,)


def resolve(texts: Iterable[str], taps: Sequence[str]) -> tuple[Point, ...]:
    """Returns the points that texts name on a model with `taps`, each once, in the order of computation.

    A text is a point, an alias (`E4`), a paper's number of a layer (`halp:27`), a set (`q2`) or a pattern (`vit.*`,
    `llm.layer_*@mean`).
    `pixels` is left out, because every cache has it. Raises `UnknownName` and `UsageError`.

    >>> [str(point) for point in resolve(["E4", "vit.p*"], ["vit.patch_embed", "vit.pre_merge", "vit.post_merge"])]
    ['vit.patch_embed', 'vit.pre_merge', 'vit.post_merge']
    """
    depths = _depths(taps)
    expanded: list[str] = []
    for text in texts:
        expanded += _SETS[text](depths) if text in _SETS else [text]
    points = {point for text in expanded for point in _matches(text, taps, depths)}
    if not points:
        raise UsageError("no extraction point was named; name some, for example --points E1,E4,E5 or 'vit.*'")
    return tuple(
        sorted(points - {Point(PIXELS)}, key=lambda point: (taps.index(point.tap), READOUTS.index(point.readout)))
    )


_STAGES = (
    *("vit.patch_embed", "vit.block_", "vit.pre_merge", "vit.post_merge", "vit.final"),
    *("llm.embed", "llm.layer_", "llm.final", "vae.latent", "vae.reconstruction"),
)


def computation_order(name: str) -> tuple[int, str, int]:
    """Returns a sort key that puts point names in the order in which any model computes them, `pixels` last.

    >>> sorted(["pixels", "llm.layer_02", "vit.pre_merge", "vit.block_10", "vit.block_02"], key=computation_order)
    ['vit.block_02', 'vit.block_10', 'vit.pre_merge', 'llm.layer_02', 'pixels']

    Of one tap it is the order of `READOUTS`, as in `resolve`:

    >>> sorted(["llm.embed@last_query", "llm.embed@last_vision", "llm.embed"], key=computation_order)
    ['llm.embed', 'llm.embed@last_vision', 'llm.embed@last_query']
    """
    stage = next((number for number, prefix in enumerate(_STAGES) if name.startswith(prefix)), len(_STAGES))
    point = Point.parse(name)
    return stage, point.tap, READOUTS.index(point.readout)


def _matches(text: str, taps: Sequence[str], depths: _Depths) -> list[Point]:
    point = Point.parse(text)
    tap = _ALIASES[point.tap](depths) if point.tap in _ALIASES else point.tap
    tap = _numbered_tap(tap, taps) if is_numbered(tap) else tap
    if tap == PIXELS:
        return [Point(PIXELS)]
    points = [Point(name, point.readout) for name in taps if fnmatch.fnmatchcase(name, tap)]
    if not points:
        raise UnknownName("extraction point", text, [*taps, *_ALIASES, *_SETS])
    return points


def _numbered_tap(text: str, taps: Sequence[str]) -> str:
    """Returns the tap that a paper's number of a layer means. Raises `UsageError` where there is none."""
    numbered = numbered_layers(taps)
    if text in numbered:
        return numbered[text]
    paper = text.partition(":")[0]
    known = [name for name in numbered if name.startswith(f"{paper}:")]
    if not known:
        raise UsageError(f"{text} names no point: this model has no language layers")
    counted = {
        "halp": f"HALP counts decoder layers from 0, {numbered[known[0]]} to {numbered[known[-1]]}",
        "latentlens": "LatentLens counts hidden states, from what enters the first layer to what leaves the final norm",
    }
    raise UsageError(f"{text} names no point of this model: {counted[paper]}, so expected {known[0]} to {known[-1]}")


def _depths(taps: Iterable[str]) -> _Depths:
    names = list(taps)
    return _Depths(
        blocks=sum(name.startswith("vit.block_") for name in names),
        layers=sum(name.startswith("llm.layer_") for name in names),
    )
