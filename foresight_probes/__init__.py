"""Probes that are trained from a cache alone; here are the training options, splits, and the tensors of a batch.

`train` and `load_runs` are all that a notebook needs, and `CacheDataModule` is for a `Trainer` of a user's own.
Importing this package loads no torch.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foresight_probes.api import Runs, load_runs, train
    from foresight_probes.lightning import CacheDataModule

__all__ = ["CacheDataModule", "Runs", "load_runs", "train"]
__version__ = version("foresight-cache")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "CacheDataModule":
        from foresight_probes.lightning import CacheDataModule

        return CacheDataModule
    from foresight_probes import api

    return getattr(api, name)
