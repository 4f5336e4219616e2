"""Whether a question can be learnt from the samples that train, and what can then be reached at most."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from foresight_cache.errors import ProbeError
from foresight_probes.splits import SIDES, Split
from foresight_probes.tasks import Task

OF_SAMPLES = ("accuracy",)
"""Metrics that are shares of samples; others of classes are means over these."""
RANKED = ("auroc",)
"""Metrics that compare classes, and so need two on each side that is scored."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """How many samples of each side of a split have each class of a task."""

    sides: Mapping[str, Counter[int]]

    def sizes(self) -> dict[str, int]:
        """Returns the number of classes on each side, and of those to be tested that no training sample has."""
        return {**{side: len(own) for side, own in self.sides.items()}, "not_in_training": len(self.unseen)}

    @property
    def unseen(self) -> tuple[int, ...]:
        """Classes of test samples that no training sample has."""
        return tuple(sorted(self.sides["test"].keys() - self.sides["train"].keys()))

    def best(self, metric: str) -> float:
        """Returns the best value of a metric of classes for an answer that knows only those that it was trained on.

        >>> test = Counter({0: 6, 1: 3, 2: 1})
        >>> counts = ClassCounts({"train": Counter([0, 1]), "validation": Counter([0]), "test": test})
        >>> counts.best("accuracy"), round(counts.best("miou"), 3)
        (0.9, 0.667)
        """
        test = self.sides["test"]
        if metric in OF_SAMPLES:
            return 1 - sum(test[name] for name in self.unseen) / max(1, test.total())
        return 1 - len(self.unseen) / max(1, len(test))


def count_classes(task: Task, targets: Mapping[int, Tensor], split: Split) -> ClassCounts | None:
    """Returns how many samples of each side have each class; None for a task without classes."""
    if not task.has_classes:
        return None
    sides: dict[str, Counter[int]] = {side: Counter() for side in SIDES}
    for side, counts in sides.items():
        for row in split.rows(side):
            if row in targets:
                counts.update(task.classes_of(targets[row]).tolist())
    return ClassCounts(sides)


def require_question(name: str, task: Task, targets: Mapping[int, Tensor], split: Split) -> ClassCounts | None:
    """Returns the classes of each side. Raises `ProbeError` where all samples that train have one and the same answer.

    So it does where none of them shows an object of any class, and where the metric of a side is not defined, because
    it compares two classes and there is one.
    """
    counts = count_classes(task, targets, split)
    if counts and not counts.sides["train"]:
        raise _nothing_to_learn(name, "no training sample shows an object of any class")
    if counts and task.closed_form == "class":
        _require_classes(name, task, counts)
    if not counts and task.closed_form == "values" and not task.needs_arrays and task.targets_from == "sample":
        first, *others = (targets[row] for row in split.train if row in targets)
        if others and all(torch.equal(first, other) for other in others):
            value = f" ({first.item():g})" if first.numel() == 1 else ""
            raise _nothing_to_learn(name, f"all {1 + len(others)} training samples have the same answer{value}")
    return counts


def _require_classes(name: str, task: Task, counts: ClassCounts) -> None:
    for side in SIDES:
        own = counts.sides[side]
        if len(own) == 1 and (side == "train" or task.primary in RANKED):
            (only,) = own
            raise _nothing_to_learn(name, f"the {side} split has one class alone, {task.class_name(only)!r}")


def _nothing_to_learn(name: str, why: str) -> ProbeError:
    return ProbeError(
        f"{name}: {why}, so that there is nothing to tell apart; extract samples with other answers too, or more of "
        "them, or change train_share, validation_share or folds"
    )


def class_remarks(name: str, task: Task, counts: ClassCounts) -> list[str]:
    """Returns what a reader must know of classes that are missing on a side, in sentences."""
    remarks = []
    if counts.unseen:
        names = ", ".join(map(task.class_name, counts.unseen[:3])) + (", …" if len(counts.unseen) > 3 else "")
        remarks.append(
            f"{name}: {len(counts.unseen)} of {len(counts.sides['test'])} classes of test samples ({names}) occur in "
            f"no training sample, so that {task.primary} can reach {counts.best(task.primary):.3f} at most"
        )
    if len(counts.sides["test"]) == 1 and len(counts.sides["train"]) > 1:
        (only,) = counts.sides["test"]
        remarks.append(
            f"{name}: all test samples have one class, {task.class_name(only)}, of which a constant is right"
        )
    return remarks
