"""Probes that are trained from a cache alone; here are the training options, splits, and the tensors of a batch.

`train` and `load_runs` are all that a notebook needs; importing this package loads no torch.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foresight_probes.api import Runs, load_runs, train

__all__ = ["Runs", "load_runs", "train"]
__version__ = version("foresight-cache")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from foresight_probes import api

    return getattr(api, name)
