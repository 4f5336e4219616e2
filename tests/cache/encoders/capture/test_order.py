"""The permutations against plain loops, for any grid."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from foresight_cache.encoders.capture import order
from foresight_cache.samples import Grid

merges = st.integers(1, 3)
sizes = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=4)


def patch_grids(sizes: list[tuple[int, int, int]], merge: int) -> list[Grid]:
    return [Grid(t, h * merge, w * merge) for t, h, w in sizes]


def by_loops(grids: list[Grid], merge: int) -> list[int]:
    raster_indices, start = [], 0
    for grid in grids:
        for t in range(grid.t):
            for y in range(0, grid.h, merge):
                for x in range(0, grid.w, merge):
                    for dy in range(merge):
                        for dx in range(merge):
                            raster_indices.append(start + (t * grid.h + y + dy) * grid.w + x + dx)
        start += grid.t * grid.h * grid.w
    return raster_indices


@given(sizes, merges)
def test_merge_groups(sizes: list[tuple[int, int, int]], merge: int) -> None:
    grids = patch_grids(sizes, merge)
    assert order.merge_group_order(grids, merge).tolist() == by_loops(grids, merge)


@given(sizes, merges, st.randoms(use_true_random=False))
def test_windows_on_top_of_merge_groups(sizes: list[tuple[int, int, int]], merge: int, random: object) -> None:
    grids = patch_grids(sizes, merge)
    units = list(range(sum(t * h * w for t, h, w in sizes)))
    random.shuffle(units)  # type: ignore[attr-defined]
    grouped = by_loops(grids, merge)
    expected = [grouped[unit * merge**2 + member] for unit in units for member in range(merge**2)]
    assert order.window_patch_order(grids, merge, torch.tensor(units)).tolist() == expected


@given(st.permutations(range(12)))
def test_inverse_brings_tokens_home(permutation: list[int]) -> None:
    tokens = torch.tensor(permutation) * 10
    assert tokens[order.inverse(torch.tensor(permutation))].tolist() == [10 * index for index in range(12)]
