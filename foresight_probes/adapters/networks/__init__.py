"""Adapters (mlp, cross-attention, dual-stream, …), which turn tokens into a latent. This folder is the registry.

To add one, add a file with a class `Adapter` that derives from `layers.base.Adapter`, declares how many points it
takes, and has a `forward` from their tokens to the latent. All its sizes follow from one width, by which a capacity is
met.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.registry import Registry

if TYPE_CHECKING:
    from foresight_probes.adapters.networks.layers.base import Adapter, Shape

CAPACITIES = (1.0, 5.0, 10.0, 50.0)
"""Millions of parameters of the adapters that C1 compares."""
STEP = 8
"""Widths are multiples of it, the number of heads of attention."""
_WIDEST = 2**14

_REGISTRY = Registry(__name__, "adapter", hyphens=True, variable="Adapter")


def names() -> tuple[str, ...]:
    """Lists the adapters in alphabetical order; imports none of them.

    >>> {"mlp", "cross-attention", "dual-stream"} <= set(names())
    True
    """
    return _REGISTRY.names()


def summaries() -> dict[str, str]:
    """Returns one sentence about each adapter by name, in alphabetical order; imports none of them."""
    return _REGISTRY.summaries()


def resolve(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns adapters by name, each once. Raises `UnknownName`."""
    chosen = tuple(dict.fromkeys(texts))
    for name in chosen:
        if name not in names():
            raise UnknownName("adapter", name, names())
    return chosen


def load(name: str) -> type[Adapter]:
    """Imports the class of an adapter. Raises `UnknownName`."""
    return cast("type[Adapter]", _REGISTRY.component(name))


def width_for(name: str, shape: Shape, capacity: float) -> int:
    """Returns the width at which an adapter has about so many millions of parameters, the nearest that there is.

    Raises `UsageError` for a capacity that is less than half, or more than twice, what any width gives.
    """
    least, most = 1, _WIDEST // STEP
    while least < most:  # the first width with at least so many
        middle = (least + most) // 2
        if parameters_of(name, shape, middle * STEP) < capacity * 1e6:
            least = middle + 1
        else:
            most = middle
    near = [step * STEP for step in (least - 1, least) if step]
    counts = {width: parameters_of(name, shape, width) for width in near}
    width = min(near, key=lambda width: abs(counts[width] - capacity * 1e6))
    if not 0.5 <= counts[width] / (capacity * 1e6) <= 2:
        raise UsageError(
            f"capacity {capacity:g} is not possible for {name}, which has {counts[width] / 1e6:.3g} million parameters "
            f"at a width of {width}; name another one"
        )
    return width


def parameters_of(name: str, shape: Shape, width: int) -> int:
    """Returns the number of parameters of an adapter, which is not made."""
    import torch

    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return sum(parameter.numel() for parameter in load(name)(shape, width).parameters())


def build(name: str, shape: Shape, width: int, seed: int) -> Adapter:
    """Makes an adapter, its initial weights a function of its arguments alone. Raises `UnknownName`."""
    import torch

    start = int.from_bytes(hashlib.sha256(f"{name} {seed}".encode()).digest()[:8], "big")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(start)
        return load(name)(shape, width)
