"""Heads (linear, logistic, attentive, …), which turn features into predictions. This folder is the registry.

To add one, add a file with a class `Head` that derives from `layers.base.ProbeHead` (or `LinearHead`), declares what
the protocol below lists, and has a `forward` from `Features` to `Prediction`. A file with several heads of one idea
lists them instead in a dictionary `HEADS = {"ridge": Ridge, "token-ridge": TokenRidge}` at its top level, whose names
are read without running the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Protocol, cast

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.registry import Registry

if TYPE_CHECKING:
    from foresight_probes.batches import Form, Information, OutputSpec
    from foresight_probes.heads.layers.base import ProbeHead

ALIASES = {"linear": ("pooled-linear", "token-linear"), "cross-attention": ("detr-plain",)}
"""Names that mean several heads, or one that had another name."""


class HeadClass(Protocol):
    """The class of a head: what it declares, and how a head with random weights from torch's generator is made.

    It is made with `width`, the channels of its features; with `takes_several` it is made with `widths`, the channels
    of each of the points in `features.every`. The head is called with `Features` whose tokens and pooled vectors are
    standardised.
    """

    learning_rate: float
    """Peak step size of AdamW at which a head of its kind learns well."""
    predicts: tuple[Form, ...]
    """Predictions that it can make, of those in `OutputSpec.predicts`; where a task takes several, the first."""
    reads: Literal["pooled", "tokens"]
    """Features that it reads: `pooled` where it touches `features.pooled` alone, `tokens` (the default) for more."""
    information: tuple[Information, ...]
    """Information that it can read. A head that predicts in both forms reads the mean for a whole sample, tokens and
    places for each token."""
    is_linear: bool
    """True where the prediction is an affine map of the features that it reads; False by default."""
    solver: Literal["ridge", "logistic", "knn"] | None
    """Solver that finds it; None (the default) for a head that is trained. Only for a `SolvableHead`."""
    takes_several: bool
    """True for a head that takes several points at once; False by default."""
    needs_one_grid: bool
    """True for a head that takes no samples of several sizes or lengths; False by default."""

    def __call__(self, *, width: int, outputs: OutputSpec) -> ProbeHead: ...


class _MultiPointHeadClass(Protocol):
    """The class of a head on several points, which declares `takes_several = True`."""

    def __call__(self, *, widths: tuple[int, ...], outputs: OutputSpec) -> ProbeHead: ...


_REGISTRY = Registry(__name__, "head", hyphens=True, variable="Head", table="HEADS")


def names() -> tuple[str, ...]:
    """Lists the heads in alphabetical order; imports none of them.

    >>> {"pooled-linear", "token-linear", "mlp"} <= set(names())
    True
    """
    return _REGISTRY.names()


def module_name(name: str) -> str:
    """Returns the dotted name of the file of a head, without importing it. Raises `UnknownName`."""
    return _REGISTRY.module_name(name)


def summaries() -> dict[str, str]:
    """Returns one sentence about each head by name, in alphabetical order; imports none of them."""
    return _REGISTRY.summaries()


def resolve(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns the heads that names and aliases mean, each once. Raises `UnknownName`.

    >>> resolve(["mlp", "linear", "mlp"])
    ('mlp', 'pooled-linear', 'token-linear')
    """
    chosen = dict.fromkeys(name for text in texts for name in ALIASES.get(text, (text,)))
    for name in chosen:
        if name not in names():
            raise UnknownName("head", name, [*names(), *ALIASES])
    return tuple(chosen)


def load(name: str) -> HeadClass:
    """Imports the class of a head. Raises `UnknownName`."""
    return cast(HeadClass, _REGISTRY.component(name))


def solver(name: str) -> str | None:
    """Returns the closed form that finds a head's weights, None for a head that is trained. Raises `UnknownName`."""
    return load(name).solver


def is_linear_head(name: str) -> bool:
    """Tells whether a head is one linear map of what it reads. Raises `UnknownName`."""
    from foresight_probes.heads.layers.base import LinearHead

    return issubclass(cast(type, load(name)), LinearHead)


def takes_several(name: str) -> bool:
    """Tells whether a head takes several points at once. Raises `UnknownName`."""
    return load(name).takes_several


def reads_tokens(name: str) -> bool:
    """Tells whether a head needs more than the means over tokens. Raises `UnknownName`."""
    return load(name).reads == "tokens"


def fitting(name: str, outputs: OutputSpec) -> bool:
    """Tells whether a head can make a prediction that a task takes. Raises `UnknownName`."""
    return bool(set(load(name).predicts) & set(outputs.predicts))


def build(name: str, *, width: int | tuple[int, ...], outputs: OutputSpec, seed: int) -> ProbeHead:
    """Makes a head for features of `width` channels, its initial weights a function of name, sizes and seed alone.

    `width` is a tuple where there are several points. Leaves torch's global random state as it was. Raises
    `UnknownName`, and `UsageError` where the head cannot make a prediction that the task takes.
    """
    import torch

    head = load(name)
    if not fitting(name, outputs):
        others = ", ".join(other for other in names() if fitting(other, outputs))
        raise UsageError(
            f"the head {name!r} makes a prediction from {_FORMS[head.predicts[0]]}, but the task needs one from "
            f"{_FORMS[outputs.predicts[0]]}; use one of {others}"
        )
    widths = (width,) if isinstance(width, int) else width
    start = int.from_bytes(hashlib.sha256(f"{name} {seed}".encode()).digest()[:8], "big")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(start)
        if head.takes_several:
            return cast(_MultiPointHeadClass, head)(widths=widths, outputs=outputs)
        return head(width=sum(widths), outputs=outputs)


_FORMS = {"per_sample": "the whole sample", "per_token": "each token"}
