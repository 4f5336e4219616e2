"""Divisions of questions into those that are learned from and those that are held out."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from foresight_cache.errors import ProbeError
from foresight_probes.hallucination.questions import require_both_labels

Unit = Literal["question", "image"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Division:
    """Rows by side, each in rising order, int64."""

    train: np.ndarray
    test: np.ndarray


def divide(labels_N: np.ndarray, images: Sequence[str], *, unit: Unit, share: float = 0.2, seed: int = 42) -> Division:
    """Divides by question, as the paper does, or so that all questions about one image are on one side."""
    return (
        divide_questions(labels_N, share=share, seed=seed)
        if unit == "question"
        else divide_groups(labels_N, images, share=share, seed=seed)
    )


def divide_questions(labels_N: np.ndarray, *, share: float = 0.2, seed: int = 42) -> Division:
    """Divides questions one by one with the share of labels on both sides: scikit-learn's `train_test_split`.

    Questions about one image may be on both sides. Raises `ProbeError` where a label occurs less than twice.
    """
    require_both_labels(labels_N, "what is divided")
    try:
        train, test = train_test_split(np.arange(len(labels_N)), test_size=share, random_state=seed, stratify=labels_N)
    except ValueError as error:
        raise ProbeError(f"{len(labels_N)} questions are too few to divide ({error}); judge more answers") from error
    return Division(train=np.sort(train), test=np.sort(test))


def divide_groups(labels_N: np.ndarray, groups: Sequence[str], *, share: float = 0.2, seed: int = 42) -> Division:
    """Divides whole groups, with labels on both sides in about the same share (`StratifiedGroupKFold`, its first fold).

    Raises `ProbeError` where no fold leaves both labels on both sides.
    """
    require_both_labels(labels_N, "what is divided")
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    codes_N = np.array([numbers[group] for group in groups])
    folds = max(2, round(1 / share))
    if len(numbers) >= folds and len(labels_N) >= folds:
        folding = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of few members, which is checked below
                divided = list(folding.split(np.zeros(len(labels_N)), labels_N, codes_N))
        except ValueError:  # fewer of both labels than folds
            divided = []
        for train, test in divided:
            if all(0 < labels_N[side].sum() < len(side) for side in (train, test)):
                return Division(train=np.sort(train), test=np.sort(test))
    raise ProbeError(
        f"{len(labels_N)} questions about {len(numbers)} images, {int(labels_N.sum())} of them answered with a "
        f"hallucination, are too few to hold out a share of {share:g} with answers of both kinds; judge more answers"
    )
