"""Options of training, checked where they are made and stored with each result."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foresight_cache.errors import UsageError

EXECUTION_FIELDS = ("resident", "resident_bytes", "device")
"""Options that change how fast a result comes and not what it is (up to rounding)."""

REPETITIONS = {"folds": None, "refits": 0}
"""Options of how often everything is fitted again, with their values where nothing is; such are not stored."""

TASK_OPTIONS = {"column": "classification", "perceptual_weight": "reconstruction"}
"""Options that only one task depends on, with its name."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


_COUNT = ("a whole number of at least 1", lambda value: _whole(value, 1))
_NATURAL = ("a whole number of at least 0", lambda value: _whole(value, 0))
_SEED = (f"a whole number from 0 to {2**63 - 1}", lambda value: _whole(value, 0) and value < 2**63)
MOST_RESAMPLES = 10**6
"""Resamples that are drawn at most; more would only tell a bound's fourth digit, and take the memory of all."""
_SHARE = ("a number between 0 and 1", lambda value: _is_number(value) and 0 < value < 1)

_POSSIBLE: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "epochs": _COUNT,
    "batch_size": _COUNT,
    "learning_rate": ("a finite number above 0", lambda value: value is None or (_is_number(value) and value > 0)),
    "weight_decay": ("a finite number of at least 0", lambda value: _is_number(value) and value >= 0),
    "train_share": _SHARE,
    "validation_share": _SHARE,
    "folds": ("a whole number of at least 2", lambda value: value is None or _whole(value, 2)),
    "refits": ("0 or a whole number of at least 4", lambda value: _whole(value, 0) and (value == 0 or value >= 4)),
    "shuffle_seed": _SEED,
    "shuffle_shards": _COUNT,
    "patience": ("a whole number of at least 1", lambda value: value is None or _whole(value, 1)),
    "strengths": (
        "a list of finite numbers above 0",
        lambda value: isinstance(value, list | tuple) and bool(value) and all(_is_number(x) and x > 0 for x in value),
    ),
    "column": ("the name of a column", lambda value: value is None or (isinstance(value, str) and bool(value))),
    "perceptual_weight": ("a finite number of at least 0", lambda value: _is_number(value) and value >= 0),
    "resamples": (
        f"a whole number from 1 to {MOST_RESAMPLES}",
        lambda value: _whole(value, 1) and value <= MOST_RESAMPLES,
    ),
    "confidence": _SHARE,
    "resident": ("auto, device, host or none", lambda value: value in ("auto", "device", "host", "none")),
    "resident_bytes": _NATURAL,
    "device": ("auto, cpu, cuda or mps", lambda value: value in ("auto", "cpu", "cuda", "mps")),
}


def is_possible(name: str, value: object) -> bool:
    """Tells whether there is an option of this name that may have this value."""
    return name in _POSSIBLE and _POSSIBLE[name][1](value)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingOptions:
    """Options of how probes are trained. Raises `UsageError` where a value is not possible.

    >>> TrainingOptions(epochs=0)
    Traceback (most recent call last):
    foresight_cache.errors.UsageError: epochs is 0, expected a whole number of at least 1
    """

    epochs: int = 30
    """Passes over the training split in a round; rounds follow each other until validation gets no better."""
    batch_size: int = 64
    """Samples per step."""
    learning_rate: float | None = None
    """Peak step size of AdamW for all heads; None to choose from three around each head's own.

    It rises over the first tenth of the steps and falls to zero along a cosine.
    """
    weight_decay: float = 0.3
    """Decoupled weight decay of AdamW, per unit of learning rate; heads on means may choose ten times as much."""
    train_share: float = 0.7
    """Fraction of the range of group hashes that trains."""
    validation_share: float = 0.15
    """Fraction of the range of group hashes that selects the epoch; the rest is the test split."""
    folds: int | None = None
    """Parts of the groups of which each is the test split once, with heads that the others train and select; None for
    one test split."""
    refits: int = 0
    """Parts of the groups that train and select, each of which is left out once while every head is found again.
    Intervals count how much its numbers differ; with 0 they are those of the head as it is."""
    shuffle_seed: int = 0
    """Seed of the order of training samples, the same for every head."""
    shuffle_shards: int = 8
    """Shards whose training samples are mixed with each other; an epoch goes from so many to the next so many."""
    patience: int | None = None
    """Epochs without a better value on validation after which a head is trained no further; None for never."""
    strengths: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
    """Regularisation of closed forms that is tried; the best on validation is kept.

    The ridge penalty on squared weights beside the sum of squared errors, and that beside the sum of cross-entropies.
    """
    column: str | None = None
    """Column of the sample table whose classes the task `classification` asks for; None for the first annotation of
    class, scene and action that any sample has."""
    perceptual_weight: float = 0.0
    """Weight of LPIPS beside the mean squared error in the loss of the task `reconstruction`."""
    resamples: int = 1000
    """Bootstrap resamples behind each confidence interval."""
    confidence: float = 0.95
    """Share of confidence intervals that are to hold the metric of all samples that there are."""
    resident: str = "auto"
    """Memory that keeps tokens while they are trained on: `device` (the GPU's memory), `host`, `none` (they are read
    again in each epoch), or `auto`: where they fit, first on the GPU."""
    resident_bytes: int = 2 * 1024**3
    """Stored bytes of a point's tokens, or of its means over tokens, that the host keeps at most with `auto`."""
    device: str = "auto"
    """`cpu`, `cuda`, `mps`, or `auto`: the GPU if there is one."""

    def __post_init__(self) -> None:
        if isinstance(self.strengths, list):
            object.__setattr__(self, "strengths", tuple(self.strengths))
        for name, (expected, possible) in _POSSIBLE.items():
            value = getattr(self, name)
            if not possible(value):
                raise UsageError(f"{name} is {value!r}, expected {expected}")
        shares = self.train_share + self.validation_share
        if shares >= 1:
            raise UsageError(f"train_share and validation_share add up to {shares:g}, expected less than 1")

    def of_task(self, task: str) -> "TrainingOptions":
        """Returns the options as they are for a task: those that only another one depends on have their defaults.

        >>> TrainingOptions(column="scene").of_task("boxes") == TrainingOptions()
        True
        """
        defaults: dict[str, Any] = {
            field.name: field.default for field in dataclasses.fields(self) if field.name in TASK_OPTIONS
        }
        return dataclasses.replace(
            self, **{name: value for name, value in defaults.items() if TASK_OPTIONS[name] != task}
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the options by name, as they are stored."""
        stored = {**dataclasses.asdict(self), "strengths": list(self.strengths)}
        return {name: value for name, value in stored.items() if REPETITIONS.get(name, ...) != value}

    def recipe(self) -> dict[str, Any]:
        """Returns the options that a result depends on."""
        return {name: value for name, value in self.to_json().items() if name not in EXECUTION_FIELDS}
