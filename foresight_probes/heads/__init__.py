"""Heads, one file each. This folder is the registry: a file `token_linear.py` is the head `token-linear`.

A head turns a batch of features into predictions. To add one, add a file with a class `Head` that derives from
`torch.nn.Module`, is made as the protocol below says and has a `forward` from `Features` to `Prediction`.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, cast

from foresight_cache.errors import UnknownName

if TYPE_CHECKING:
    from torch import nn

    from foresight_probes.batches import Outputs

ALIASES = {"linear": ("pooled-linear", "token-linear")}
"""Names that mean several heads."""


class HeadClass(Protocol):
    """Makes a head with random weights from torch's default generator.

    `learning_rate` is the peak step size of AdamW at which a head of its kind learns well.

    The module is called with `Features` whose tokens and pooled vectors are standardised, and returns a `Prediction`.
    """

    learning_rate: float

    def __call__(self, *, width: int, outputs: Outputs) -> nn.Module: ...


def names() -> tuple[str, ...]:
    """Heads, by file name; nothing is imported.

    >>> {"pooled-linear", "token-linear", "mlp"} <= set(names())
    True
    """
    return tuple(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


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


def build(name: str, *, width: int, outputs: Outputs, seed: int) -> nn.Module:
    """A head for features of `width` channels, its initial weights a function of name, sizes and seed alone.

    Raises `UnknownName`. Leaves torch's global random state as it was.
    """
    import torch

    (name,) = resolve([name])
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(hashlib.sha256(f"{name} {seed}".encode()).digest()[:8], "big"))
        return cast(HeadClass, module.Head)(width=width, outputs=outputs)
