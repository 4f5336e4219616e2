"""The class of a sample: of its folder, its scene, its action, or whatever a column of the sample table says."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from foresight_cache.errors import ProbeError, UnknownName
from foresight_probes.metrics import Scores, classification_metrics
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.kinds.classification import Classification

KINDS = {"class": "class.name", "scene": "scene", "action": "action.class"}
"""Annotations that are asked for, the first that any sample has, where no column is named; each with its column."""


class Task(Classification):
    """Predicts what a column of the sample table says, as one of the texts, numbers or flags that occur there.

    A column is one of the table's own (`split`, `width`), or a field of the annotations (`scene`, `action.template`,
    `qa.type`). Unless one is named, it is `class.name`, `scene` or `action.class`, the first that any sample has.
    """

    heads = ("logistic", "knn")
    metric_names = ("accuracy", "top_5", "balanced_accuracy", "calibration_error")

    def __init__(self, context: TaskContext) -> None:
        self.column = _column(context)
        """Name of the column; empty where there are no samples."""
        kind = self.column.partition(".")[0]
        self.annotations = tuple(KINDS) if not self.column else (kind,) if _is_annotated(context.samples, kind) else ()
        super().__init__(context)
        _require_classes(self.column, [self.answer(sample) for sample in context.samples])

    def answer(self, sample: Mapping[str, Any]) -> str | None:
        """Returns what the column says, as text; None where a sample does not have it."""
        value = dict(_columns(sample)).get(self.column)
        return None if value is None else str(value)

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return classification_metrics.class_summary(scores, counts_RS, top=5)


def _column(context: TaskContext) -> str:
    """Returns the column that is asked for. Raises `UnknownName`, and `ProbeError` where there is none to choose."""
    if not context.samples:
        return context.column or ""
    known = dict.fromkeys(name for sample in context.samples for name, _ in _columns(sample))
    if context.column is None:
        chosen = next((column for column in KINDS.values() if column in known), None)
        if chosen is None:
            raise ProbeError(
                f"no sample has a {', '.join(KINDS)}, so name the column whose classes are asked for, "
                f"for example --column {next(iter(known), 'split')}"
            )
        return chosen
    column = KINDS.get(context.column, context.column)
    if column not in known:
        raise UnknownName("column", context.column, list(known))
    return column


def _columns(sample: Mapping[str, Any]) -> Iterator[tuple[str, str | int | float]]:
    """Yields the columns of a sample with their values: texts, numbers and flags, no lists."""
    for name, value in sample.items():
        if isinstance(value, str | int | float):
            yield name, value
    for kind, value in sample["annotations"].items():
        fields = value.items() if isinstance(value, Mapping) else [("", value)]
        for name, field in fields:
            if isinstance(field, str | int | float):
                yield f"{kind}.{name}" if name else kind, field


def _is_annotated(samples: Sequence[Mapping[str, Any]], kind: str) -> bool:
    return any(kind in sample["annotations"] for sample in samples)


def _require_classes(column: str, answers: Sequence[str | None]) -> None:
    """Raises `ProbeError` where the column is the same for all samples, or another for each."""
    known = [answer for answer in answers if answer is not None]
    if known and len(set(known)) == 1:
        raise ProbeError(
            f"the column {column!r} is {known[0]!r} for all {len(known)} samples that have it, expected at least two "
            "classes; name another --column"
        )
    if len(known) > 1 and len(set(known)) == len(known):
        raise ProbeError(
            f"the column {column!r} is another for each of the {len(known)} samples that have it, expected classes of "
            "several samples; name another --column"
        )
