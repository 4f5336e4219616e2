"""The part of a model that its taps need: the deepest of them, and the model without what lies deeper."""

from collections.abc import Sequence

from torch import nn

from foresight_cache.encoders import Tap
from foresight_cache.encoders.weights.loading import leave_out


def deepest_tap(taps: Sequence[Tap], names: Sequence[str] | None) -> str | None:
    """Returns the deepest of the named taps, the first tap for no names, and None where all of the model is needed.

    `taps` are in the order of computation.
    """
    if names is None:
        return None
    known = [tap.name for tap in taps]
    return known[max((known.index(name) for name in names), default=0)]


def prune(root: nn.Module, taps: Sequence[Tap], deepest: str) -> None:
    """Leaves out the modules of all taps after `deepest`; `taps` are in the order of computation.

    A module whose input is the deepest tap is left out as well: the forward pass ends before it.
    """
    last = next(number for number, tap in enumerate(taps) if tap.name == deepest)
    needed = [tap.module for tap in taps[: last + 1] if tap.side == "output"]
    for tap in taps[last:]:
        if not any(module == tap.module or module.startswith(f"{tap.module}.") for module in needed):
            leave_out(root, tap.module)
