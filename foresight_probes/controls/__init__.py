"""Controls (shuffled, positions-only, …), which every number is compared with. This folder is the registry.

A control has the same heads, found in the same way, for targets or on features in which the answer is not to be found.
To add one, add a file with a class `Control` that derives from the one below. `mean_predictor` alone is none of them:
it is computed and not trained, and always there.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from foresight_cache.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from foresight_cache.reader import Cache
    from foresight_probes.features.sources import Source
    from foresight_probes.splits import Split
    from foresight_probes.tasks import Task

SEPARATOR = "~"
"""Separator between the name of a task, or of a point, and the control that changes it, and the number of a copy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlContext:
    """What controls are made from."""

    cache: Cache
    split: Split
    twin: Cache | None = None
    """Cache of the same samples from a model of the same architecture with random weights."""


class Control(ABC):  # noqa: B024 - what is not overridden is as it is in the run that is compared
    """A change to targets or to features, after which the answer cannot be read from the features."""

    above: ClassVar[bool] = False
    """True where a number that does not lie above the control's says nothing of the features."""
    changes_features: ClassVar[bool] = False
    """True where it has features of its own (`sources`), and so a pass of its own over them."""
    copies: ClassVar[int] = 1
    """Numbers that are drawn from chance, each by a run of its own; 1 where the number is not one of many."""

    def __init__(self, context: ControlContext) -> None:
        """Raises `ProbeError` for caches that it cannot be made from."""
        self.context = context

    @property
    def reads(self) -> Cache | None:
        """Cache beside the sweep's own that its features are read from; None where there is none."""
        return None

    def fits(self, task: Task) -> bool:  # noqa: ARG002 - most fit all tasks
        """Tells whether the control says something about a task."""
        return True

    def trains(self, solver: str | None) -> bool:  # noqa: ARG002 - most take any head
        """Tells whether it has heads that are found by this solver, or are trained."""
        return True

    def point_for(self, point: str) -> str | None:
        """Returns the point that stands beside a point's numbers: itself, or one for all; None where there is none."""
        return point

    def targets(self, task: Task, targets: Mapping[int, Tensor], copy: int = 0) -> Mapping[int, Tensor]:  # noqa: ARG002
        """Returns the targets of one of its copies by row of the sample table, from the task's own."""
        return targets

    def sources(self, point: str) -> Sequence[Source]:
        """Returns the features of a point that `point_for` returned."""
        raise NotImplementedError


_REGISTRY = Registry(__name__, "control", hyphens=True, variable="Control")


def names() -> tuple[str, ...]:
    """Lists the controls in alphabetical order; imports none of them.

    >>> {"shuffled", "positions-only"} <= set(names())
    True
    """
    return tuple(name for name in _REGISTRY.names() if name != "mean-predictor")


def load(name: str, context: ControlContext) -> Control:
    """Makes a control. Raises `UnknownName`, and what the control raises for its context."""
    return control_class(name)(context)


def control_class(name: str) -> type[Control]:
    """Imports the class of a control. Raises `UnknownName`."""
    return cast("type[Control]", _REGISTRY.component(name))


def controlled(name: str, control: str) -> str:
    """Returns the name of a task, or of a point, with its control.

    >>> controlled("boxes", "shuffled")
    'boxes~shuffled'
    """
    return f"{name}{SEPARATOR}{control}"


def parts(name: str) -> tuple[str, str]:
    """Returns the name of the task or the point, and that of the control, empty where there is none.

    >>> parts("boxes~shuffled"), parts("boxes~label-shuffle~03"), parts("boxes")
    (('boxes', 'shuffled'), ('boxes', 'label-shuffle'), ('boxes', ''))
    """
    own, *control = name.split(SEPARATOR)
    return own, control[0] if control else ""
