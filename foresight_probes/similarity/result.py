"""What a comparison of points says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from foresight_probes.statistics.alignment import AlignmentTest

Of = Literal["tokens", "means"]
"""Rows that are compared: each token of each sample, or the mean over the tokens of each sample."""
Matrix = tuple[tuple[float | None, ...], ...]
"""One row for each point of the rows, one value for each of the columns; None where a value is not defined."""

LEVEL = 0.05
"""P-value above which a similarity is no more than chance makes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """Similarities of points on some samples, against those of the same samples exchanged at random."""

    values: Matrix
    """Similarities, at most 1; of what is not debiased from 0 on."""
    chance: Matrix
    """Mean similarity where the samples of the second point are exchanged."""
    p_values: Matrix
    """(1 + permutations that are as similar) / (1 + permutations)."""
    threshold: Matrix
    """Similarity above which one of twenty such permutations lies."""
    calibrated: Matrix
    """(similarity - threshold) / (1 - threshold), 0 below the threshold."""
    corrected: Matrix
    """P-values corrected for the maximum over all pairs of points; None for a point with itself."""
    samples: int
    """Samples, one of each group."""
    rows: int
    """Rows of features of each sample."""
    permutations: int

    def by_chance(self, row: int, column: int) -> bool:
        """Returns whether a similarity is no more than chance makes, by its p-value."""
        p_value = self.p_values[row][column]
        return p_value is not None and p_value > LEVEL


def tested(test: AlignmentTest, *, samples: int, rows: int, permutations: int) -> Tested:
    """Returns the same with None for NaN."""
    return Tested(
        values=matrix_of(test.values_PQ),
        chance=matrix_of(test.chance_PQ),
        p_values=matrix_of(test.p_values_PQ),
        threshold=matrix_of(test.threshold_PQ),
        calibrated=matrix_of(test.calibrated_PQ),
        corrected=matrix_of(test.corrected_PQ),
        samples=samples,
        rows=rows,
        permutations=permutations,
    )


def matrix_of(values: np.ndarray) -> Matrix:
    """Returns rows of numbers, None for those that are not finite.

    >>> matrix_of(np.array([[1.0, np.nan]]))
    ((1.0, None),)
    """
    return tuple(tuple(float(value) if np.isfinite(value) else None for value in row) for row in values)


@dataclass(frozen=True, kw_only=True, slots=True)
class PointSimilarity:
    """Similarity between points of one cache, or between those of two caches of the same samples."""

    points: tuple[str, ...]
    """Points of the rows, in the order of computation."""
    columns: tuple[str, ...]
    """Points of the columns: the same, or those of the other cache."""
    cka: Matrix
    """Linear CKA, from 0 to 1; None where the features of a point do not vary."""
    undefined: tuple[str, ...]
    """Points whose features do not vary or are not finite."""
    of: Of
    samples: int
    rows: int
    """Rows of features that were compared: samples, or all tokens of the finest grid."""
    noise: float
    """Linear CKA that unrelated features of as many channels and rows show at most, on average."""
    tested_cka: Tested | None
    """Linear CKA of one sample of each group against chance; None for a single group."""
    debiased_cka: Tested | None
    """Debiased linear CKA of the same rows against chance; None for fewer than four rows."""
    mutual_knn: Tested | None
    """Mean share of common nearest neighbours of means over tokens against chance; None for fewer than three groups."""
    neighbours: int
    """Nearest neighbours of each sample that are compared."""
    model: Mapping[str, Any]
    """Model in the fingerprint of the cache."""
    other_model: Mapping[str, Any]
    """Model in the fingerprint of the other cache, or of the same one."""
    dataset: str
    caches: tuple[str, ...]
    """Paths of the caches, one or two."""

    @property
    def model_names(self) -> tuple[str, str]:
        """Names of the models of the rows and of the columns."""
        one, other = (str(model.get("name", "a model without a name")) for model in (self.model, self.other_model))
        return one, other

    def to_json(self) -> dict[str, Any]:
        """Returns the fields by name, of models their names alone; JSON has null where a value is not defined."""
        return {**asdict(self), "model": self.model_names[0], "other_model": self.model_names[1]}
