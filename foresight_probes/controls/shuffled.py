"""Features of another sample: each sample is asked for the target of another one, of another group on the same side.

What a head reaches then, it reaches without the sample. Targets are exchanged rather than features, which is the same
pairs, so that the control needs no pass of its own over the features.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from foresight_probes import controls
from foresight_probes.splits import SIDES, position
from foresight_probes.tasks import Task


class Control(controls.Control):
    """Targets of other samples, on every side of the split."""

    above = True

    def fits(self, task: Task) -> bool:
        """Only where targets are the sample's own: made of its features they would follow them."""
        return task.targets_from != "features" and not task.plants_answers

    def targets(self, task: Task, targets: Mapping[int, Tensor], copy: int = 0) -> Mapping[int, Tensor]:  # noqa: ARG002
        """Returns the targets of others by row; rows for which there is no other are left out."""
        samples, donors = self.context.cache.rows, dict[int, int]()
        for side in SIDES:
            alike: defaultdict[object, list[int]] = defaultdict(list)
            for row in self.context.split.rows(side):
                if row in targets:
                    alike[_size(samples[row]) if task.needs_arrays else None].append(row)
            for rows in alike.values():
                donors |= derangement({row: samples[row]["group"] for row in rows})
        return Borrowed(targets, donors)


class Borrowed(Mapping[int, Tensor]):
    """Targets of other rows."""

    def __init__(self, targets: Mapping[int, Tensor], donors: Mapping[int, int]) -> None:
        """Takes the row whose target is given, for each row."""
        self._targets, self._donors = targets, donors

    def __getitem__(self, row: int) -> Tensor:
        return self._targets[self._donors[row]]

    def __iter__(self) -> Iterator[int]:
        return iter(self._donors)

    def __len__(self) -> int:
        return len(self._donors)


def derangement(groups: Mapping[int, str], salt: str = "shuffled") -> dict[int, int]:
    """Returns another row for each row, of another group; nothing where a group has more than half of the rows.

    Rows lie in a circle by the hash of their group, and each has the one that is as far as the largest group is long.

    >>> derangement({1: "a", 2: "a", 3: "b", 4: "c"})
    {1: 4, 2: 3, 3: 2, 4: 1}
    >>> derangement({1: "a", 2: "a", 3: "b"})
    {}
    """
    rows = sorted(groups, key=lambda row: (position(f"{salt} {groups[row]}"), groups[row], row))
    sizes: defaultdict[str, int] = defaultdict(int)
    for group in groups.values():
        sizes[group] += 1
    step = max(sizes.values(), default=0)
    if 2 * step > len(rows):
        return {}
    return dict(sorted((row, rows[(index + step) % len(rows)]) for index, row in enumerate(rows)))


def _size(sample: Mapping[str, Any]) -> object:
    """Returns what samples must share for the picture of one to be asked of another."""
    return tuple(sample.get("grid_pixel") or ())
