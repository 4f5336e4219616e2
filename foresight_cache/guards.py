"""Values that no cache should hold."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from foresight_cache.errors import FeatureError

if TYPE_CHECKING:
    import torch


def check_features(features: "Mapping[str, Sequence[torch.Tensor]]", ids: Sequence[str]) -> None:
    """Raises `FeatureError` for NaN, infinite, all-zero or constant tokens [N, D], naming point and sample."""
    import torch

    for point, samples in features.items():
        extremes = torch.stack([torch.stack(torch.aminmax(tokens)) for tokens in samples]).float().tolist()
        for sample, (low, high) in zip(ids, extremes, strict=True):
            if not (abs(low) < float("inf") and abs(high) < float("inf")):
                raise FeatureError(
                    f"{point} of sample {sample} holds NaN or infinite values; nothing of its shard was kept; "
                    "try --dtype float32 or look at the model"
                )
            if low == high:
                raise FeatureError(
                    f"{point} of sample {sample} is {low} everywhere; nothing of its shard was kept; "
                    "look at the model's weights and at the image"
                )
