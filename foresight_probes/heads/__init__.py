"""Heads, one file each. This folder is the registry: a file `token_linear.py` is the head `token-linear`.

A head turns a batch of features into predictions. To add one, add a file with a class `Head` that derives from
`torch.nn.Module`, is made as the protocol below says and has a `forward` from `Features` to `Prediction`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Protocol, cast

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from foresight_probes.batches import OutputSpec

ALIASES = {"linear": ("pooled-linear", "token-linear")}
"""Names that mean several heads."""


class HeadClass(Protocol):
    """Makes a head with random weights from torch's default generator.

    The module is called with `Features` whose tokens and pooled vectors are standardised, and returns a `Prediction`.
    It is made with `width`, the channels of its features; with `several = True` it is made with `widths`, the channels
    of each of the points in `features.every`.
    """

    learning_rate: float
    """The peak step size of AdamW at which a head of its kind learns well."""
    predicts: tuple[str, ...]
    """Predictions that it can make, of those in `OutputSpec.predicts`; where a task takes several, the first."""
    reads: str
    """`pooled` where it touches nothing but `features.pooled`; `tokens`, the default, where it needs more."""

    def __call__(self, *, width: int, outputs: OutputSpec) -> nn.Module: ...


class MultiPointHeadClass(Protocol):
    """The same for a head on several points, which says so by `several = True`."""

    def __call__(self, *, widths: tuple[int, ...], outputs: OutputSpec) -> nn.Module: ...


_REGISTRY = Registry(__name__, "head", hyphens=True)


def names() -> tuple[str, ...]:
    """Heads, by file name; nothing is imported.

    >>> {"pooled-linear", "token-linear", "mlp"} <= set(names())
    True
    """
    return _REGISTRY.names()


def resolve(texts: Iterable[str]) -> tuple[str, ...]:
    """Heads that names and aliases mean, each once. Raises `UnknownName`.

    >>> resolve(["mlp", "linear", "mlp"])
    ('mlp', 'pooled-linear', 'token-linear')
    """
    found = dict.fromkeys(name for text in texts for name in ALIASES.get(text, (text,)))
    for name in found:
        if name not in names():
            raise UnknownName("head", name, [*names(), *ALIASES])
    return tuple(found)


def solver(name: str) -> str | None:
    """`ridge`, `logistic` or `constant` for a head that is solved and not trained, None for one that is trained.

    Raises `UnknownName`.
    """
    return getattr(_class(name), "solver", None)


def takes_several(name: str) -> bool:
    """Whether it takes several points at once. Raises `UnknownName`."""
    return bool(getattr(_class(name), "several", False))


def reads_tokens(name: str) -> bool:
    """Whether it needs more than the means over tokens. Raises `UnknownName`."""
    return getattr(_class(name), "reads", "tokens") == "tokens"


def fitting(name: str, outputs: OutputSpec) -> bool:
    """Whether a head can make a prediction that a task understands. Raises `UnknownName`."""
    return bool(set(_class(name).predicts) & set(outputs.predicts))


def build(name: str, *, width: int | tuple[int, ...], outputs: OutputSpec, seed: int) -> nn.Module:
    """A head for features of `width` channels, its initial weights a function of name, sizes and seed alone.

    `width` is a tuple where there are several points. Leaves torch's global random state as it was. Raises
    `UnknownName`, and `UsageError` where the head cannot make what the task understands.
    """
    import torch

    head = _class(name)
    if not fitting(name, outputs):
        raise UsageError(
            f"the head {name!r} makes a prediction from {_FORMS[head.predicts[0]]}, but the task needs one from "
            f"{_FORMS[outputs.predicts[0]]}; "
            f"use one of {', '.join(each for each in names() if fitting(each, outputs))}."
        )
    widths = (width,) if isinstance(width, int) else width
    start = int.from_bytes(hashlib.sha256(f"{name} {seed}".encode()).digest()[:8], "big")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(start)
        if getattr(head, "several", False):
            return cast(MultiPointHeadClass, head)(widths=widths, outputs=outputs)
        return head(width=sum(widths), outputs=outputs)


_FORMS = {"per_sample": "the whole sample", "per_token": "each token"}


@cache
def _class(name: str) -> HeadClass:
    (name,) = resolve([name])
    return cast(HeadClass, _REGISTRY.module(name).Head)
