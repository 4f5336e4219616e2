"""A run that has been solved or trained: what was chosen on validation, its head, and its scores on the test split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.results.scores import Gathered
from foresight_probes.training.run_spec import BestEpoch, RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A run with its best weights."""

    run: RunSpec
    best: BestEpoch
    """Weights of `head`, with their value on validation."""
    head: ProbeHead
    """The head for the point's standardised features."""
    chosen: Mapping[str, Any]
    """Values that were chosen on validation: `strength` of a closed form; `inputs` and `neighbours` of nearest ones;
    `inputs`, `learning_rate` and `weight_decay` of a trained head, and whether it has `converged`."""
    test_scores: Gathered
