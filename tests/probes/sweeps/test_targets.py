"""Targets that are made from arrays of the cache: kept where there is room, and the same either way."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.sweeps import targets
from foresight_probes.sweeps.targets import DenseTargets
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.edges import Task as Edges


class Counted(Edges):
    """Edges, with the number of targets that were made."""

    made = 0

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        self.made += 1
        return super().target(sample)


@pytest.mark.parametrize(("room", "made"), [(10, 3), (2, 4), (0, 6)])
def test_targets_are_made_once_where_there_is_room(
    room: int, made: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PlantedCache(world="several", train=3, validation=0, test=0, rows=4).write(tmp_path, ["nothing.linear"])
    task = Counted(TaskContext(samples=cache.rows))
    by_row = DenseTargets(cache, task, [0, 1, 2])
    monkeypatch.setattr(targets, "KEPT_BYTES", room * 32 * 32)
    first, second = ([by_row[row] for row in by_row] for _ in range(2))
    assert task.made == made
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])
