"""Which network perceptual metrics looked with, for the versions that stand with a result."""

import dataclasses
import hashlib
from collections.abc import Container
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from foresight_probes.tasks import TaskContext

_OF_TRUNK = ("lpips", "gram_distance", "negative_loss")
"""Metrics that the trunk of LPIPS makes."""


def perceptual_versions(metrics: Container[str], weights: Path | None) -> dict[str, str]:
    """Returns the version of LPIPS and its trunk with the SHA-256 of the file, if any of the metrics needs them.

    `weights` is the folder with the trunk, or None for torch's cache. Raises `ProbeError` where it is there no more.
    """
    if not any(name in metrics for name in _OF_TRUNK):
        return {}
    from foresight_probes.metrics.perceptual import find_weights

    net = next(str(own.default) for own in dataclasses.fields(TaskContext) if own.name == "lpips_net")
    path = find_weights(net, weights)
    digest = _digest(path, path.stat().st_mtime_ns)
    return {"lpips": version("lpips"), "LPIPS trunk": f"{net} from {path.name} (SHA-256 {digest})"}


@lru_cache(maxsize=4)
def _digest(path: Path, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
