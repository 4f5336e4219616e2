"""Hungarian matching against brute force, cells against a plain loop."""

import itertools

import pytest
import torch

from foresight_cache.samples import Grid
from foresight_probes.features.patches import grid_cells
from foresight_probes.tasks.kinds.matching import by_cell, hungarian, in_any, object_shares


@pytest.mark.parametrize("seed", range(10))
def test_hungarian_is_the_cheapest_of_all(seed: int) -> None:
    cost = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(seed))
    counts = torch.tensor([4, 1, 3])
    objects = hungarian(cost, counts)
    for table, count, found in zip(cost, counts.tolist(), objects, strict=True):
        rows = [int((found == column).nonzero()) for column in range(count)]  # each object exactly once
        assert (found >= 0).sum() == count
        best = min(sum(table[row, k] for k, row in enumerate(p)) for p in itertools.permutations(range(5), count))
        assert sum(table[row, column] for column, row in enumerate(rows)) == pytest.approx(float(best))


def test_padding_is_never_matched() -> None:
    cost = torch.ones(1, 3, 2)
    cost[..., 1] = -100.0
    assert hungarian(cost, torch.tensor([1])).max() == 0


@pytest.mark.parametrize("seed", range(10))
def test_cells_against_a_loop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    grid = Grid(1, 5, 7)
    corners = torch.rand(2, 3, 2, 2, generator=generator)
    truth = torch.cat([corners.min(2).values, corners.max(2).values], dim=-1)
    counts = torch.tensor([3, 1])
    found = by_cell(grid_cells(grid).repeat(2, 1, 1), torch.ones(2, 35, dtype=torch.bool), truth, counts)
    for place in range(2):
        wanted = [-1] * 35
        for y, x in itertools.product(range(5), range(7)):
            area = {}
            for k, (x0, y0, x1, y1) in enumerate(truth[place, : counts[place]].tolist()):
                if x0 <= (x + 0.5) / 7 < x1 and y0 <= (y + 0.5) / 5 < y1:
                    area[k] = (x1 - x0) * (y1 - y0)
            if area:
                wanted[7 * y + x] = min(area, key=area.__getitem__)
        missed = set(range(int(counts[place]))) - set(wanted)
        agreeing = sum(a == b for a, b in zip(wanted, found[place].tolist(), strict=True))
        assert agreeing >= 35 - len(missed)
        assert set(range(int(counts[place]))) <= set(found[place].tolist())


def test_a_tiny_object_takes_the_nearest_cell() -> None:
    grid = Grid(1, 4, 4)
    truth = torch.tensor([[[0.45, 0.70, 0.48, 0.74]]])  # between centres; the nearest is row 2, column 1
    found = by_cell(grid_cells(grid)[None], torch.ones(1, 16, dtype=torch.bool), truth, torch.tensor([1]))[0]
    assert (found >= 0).nonzero().flatten().tolist() == [4 * 2 + 1]


def test_cells_that_do_not_exist_take_nothing() -> None:
    mask = torch.zeros(1, 16, dtype=torch.bool)
    mask[0, :4] = True
    truth = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    found = by_cell(grid_cells(Grid(1, 4, 4))[None], mask, truth, torch.tensor([1]))
    assert (found >= 0).tolist() == mask.tolist()


def test_where_no_sample_has_an_object_nothing_is_matched() -> None:
    """With columns of padding, and by sets also without any."""
    cells, mask, counts = grid_cells(Grid(1, 2, 2)).repeat(3, 1, 1), torch.ones(3, 4, dtype=torch.bool), torch.zeros(3)
    nothing = torch.full((3, 4), -1)
    for found in (
        by_cell(cells, mask, torch.zeros(3, 2, 4), counts.long()),
        hungarian(torch.zeros(3, 4, 2), counts.long()),
        hungarian(torch.zeros(3, 4, 0), counts.long()),
    ):
        assert found.dtype == torch.int64
        assert found.equal(nothing)
    assert object_shares(nothing).equal(torch.zeros(3, 4))
    assert not in_any(cells[0, :, :2], torch.zeros(0, 4)).any()
