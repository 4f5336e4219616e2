"""What is known of judged questions beside the vectors, and the checks that every number of them needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foresight_cache.errors import ProbeError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Questions:
    """Judged questions, in the order of the rows of their vectors."""

    labels_N: np.ndarray
    """1 where the answer is hallucinated and 0 where it is not, int64; undecided answers are not among them."""
    images: Sequence[str]
    """Group of each, such as its image: what is divided and resampled as a whole."""
    categories: Sequence[str]
    """Category of each, such as its answer type."""
    sources: Sequence[str]
    """Benchmark that each is from."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels_N", checked_labels(self.labels_N))
        for name in ("images", "categories", "sources"):
            if len(getattr(self, name)) != len(self.labels_N):
                raise ProbeError(
                    f"{len(getattr(self, name))} {name} were given for {len(self.labels_N)} questions, expected one "
                    "each; take both from the same rows"
                )

    def __len__(self) -> int:
        return len(self.labels_N)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Questions":
        """Returns the questions in these rows."""
        columns = {name: [getattr(self, name)[row] for row in rows] for name in ("images", "categories", "sources")}
        return Questions(labels_N=self.labels_N[np.asarray(rows, dtype=np.int64)], **columns)


def checked_labels(labels_N: np.ndarray | Sequence[int]) -> np.ndarray:
    """Returns labels as int64. Raises `ProbeError` where one is neither 0 nor 1, as that of an undecided answer."""
    labels = np.asarray(labels_N)
    if labels.dtype == object or not np.isin(labels, (0, 1)).all():
        raise ProbeError(
            "a label is neither 0 nor 1, expected 1 for a hallucinated answer and 0 for another; leave out undecided "
            "answers"
        )
    return labels.astype(np.int64)


def checked_vectors(vectors_ND: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    """Returns vectors as they are. Raises `ProbeError` where they are not one finite vector for each label."""
    if vectors_ND.ndim != 2 or len(vectors_ND) != len(labels_N):
        raise ProbeError(
            f"vectors of shape {list(vectors_ND.shape)} were given for {len(labels_N)} labels, expected "
            f"[{len(labels_N)}, channels]; take both from the same rows"
        )
    if not np.isfinite(vectors_ND).all():
        raise ProbeError("a vector has a number that is not finite; extract its sample again or leave it out")
    return vectors_ND


def require_both_labels(labels_N: np.ndarray, where: str) -> None:
    """Raises `ProbeError` where only one label occurs."""
    positives = int(labels_N.sum())
    if not 0 < positives < len(labels_N):
        raise ProbeError(
            f"{where} has {positives} hallucinated answers of {len(labels_N)}, expected some of both kinds; judge more "
            "answers"
        )
