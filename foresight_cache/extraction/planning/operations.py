"""Floating-point operations of a forward pass up to each tap, from a model's configuration alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foresight_cache.encoders import RANDOM, TINY, Encoder, LoadOptions, Tap, TapLevel, describe
from foresight_cache.encoders.bases.transformers_encoder import TransformersEncoder
from foresight_cache.encoders.weights import hub_snapshots
from foresight_cache.errors import ModelError
from foresight_cache.points import Point
from foresight_cache.samples import Grid

_PROJECTIONS = {"q_proj": 1, "query": 1, "qkv": 3, "qkv_proj": 3}
"""Names of the layers that make queries, each with how many things of equal width it makes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """What is computed from the tap before to a tap."""

    tap: Tap
    weights: int
    """Weights by which each of the tap's tokens is multiplied."""
    attention_width: int
    """Channels of all heads together; 0 where nothing attends."""

    def operations(self, tokens: int, attended: Sequence[int]) -> int:
        """Returns 2 for each weight and token, and 4 for each channel and pair of tokens that attend to each other.

        A multiplication and an addition count as two, as everywhere (Kaplan et al., "Scaling Laws for Neural Language
        Models", 2020, table 1). Causal attention counts all pairs, as of a dense product. Norms, activations and
        softmax are left out.
        """
        return 2 * self.weights * tokens + 4 * self.attention_width * sum(size**2 for size in attended)


class OperationCount:
    """The stages of a model, from which the operations of any input follow."""

    def __init__(self, encoder: Encoder) -> None:
        """Builds the model without its weights. Raises `ModelError` where one of its parts is not known here."""
        if not encoder.counts_operations or not isinstance(encoder, TransformersEncoder):
            raise ModelError(f"operations of the family {encoder.family} are not counted")
        self._encoder = encoder
        root = encoder.tapped_module(_without_weights(encoder))
        seen: set[str] = set()
        stages = []
        for tap in encoder.taps:
            is_new = tap.side == "output" and tap.module not in seen  # a tower's last block is two taps
            seen |= {tap.module} if is_new else set()
            stages.append(_stage(tap, root.get_submodule(tap.module)) if is_new else _nothing(tap))
        self.stages = tuple(stages)

    def up_to(self, grids: Mapping[TapLevel, Grid], *, words: int = 0) -> dict[str, int]:
        """Returns the operations of one sample up to each tap, in the order of computation.

        Args:
            grids: Grids of its patches and of its merged tokens.
            words: Tokens of the prompt that the language model sees besides.
        """
        own = (self._operations(stage, grids[stage.tap.level], words) for stage in self.stages)
        return dict(zip((stage.tap.name for stage in self.stages), accumulate(own), strict=True))

    def _operations(self, stage: Stage, grid: Grid, words: int) -> int:
        tap = stage.tap
        extra = words if tap.name.startswith("llm.") else (tap.leading + tap.trailing) * grid.t
        attended = self._encoder.attended(tap, grid, extra) if stage.attention_width else ()
        return stage.operations(grid.tokens + extra, attended)


def mean_operations(
    count: OperationCount, sizes: Mapping[tuple[Any, Any], int], points: Sequence[str], *, words: int = 0
) -> dict[str, float]:
    """Returns the operations of a sample up to each of these points, a mean over samples.

    Args:
        count: Of the model.
        sizes: Numbers of samples by their grids of patches and of merged tokens.
        points: Names; those that the model lacks are left out.
        words: Tokens of the prompt that the language model sees besides.
    """
    totals: Counter[str] = Counter()
    for (patch, merged), samples in sizes.items():
        of_taps = count.up_to({"patch": Grid(*patch), "merged": Grid(*merged)}, words=words)
        totals.update({tap: samples * operations for tap, operations in of_taps.items()})
    number = max(1, sum(sizes.values()))
    taps = {name: Point.parse(name).tap for name in points}
    return {name: totals[tap] / number for name, tap in taps.items() if tap in totals}


def described(model: str) -> Encoder:
    """Makes the encoder that a model text names from a configuration on this machine; asks no hub.

    Raises `ModelError` where it is not here, and `UnknownName`.
    """
    scheme, _, rest = model.partition(":")
    source = rest if scheme == RANDOM else model
    options = LoadOptions(device="cpu")
    if scheme == TINY or Path(source).expanduser().is_dir():
        return describe(model, options)
    kept = hub_snapshots.kept_directory(source)
    if kept is None:
        raise ModelError(
            f"the configuration of {source} is not on this machine; 'foresight models show {source}' fetches it"
        )
    return describe(str(kept), options)


def _without_weights(encoder: TransformersEncoder) -> Any:
    import transformers

    with torch.device("meta"):
        return getattr(transformers, encoder.model_class)(encoder.config)


def _nothing(tap: Tap) -> Stage:
    return Stage(tap=tap, weights=0, attention_width=0)


def _stage(tap: Tap, module: nn.Module) -> Stage:
    weights, width = 0, 0
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.Conv3d):
            weights += part.weight.numel()
            shares = _PROJECTIONS.get(name.rpartition(".")[2], 0)
            width += part.weight.shape[0] // shares if shares else 0
        elif any(own.dim() > 1 for own in part.parameters(recurse=False)):
            raise ModelError(f"operations of {tap.module}.{name}, a {type(part).__name__}, are not counted")
    return Stage(tap=tap, weights=weights, attention_width=width)
