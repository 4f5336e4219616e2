"""Batches of a shard: a pure function of the sizes of its samples."""

from collections.abc import Hashable, Sequence


def batches(sizes: Sequence[Hashable], tokens: Sequence[int], budget: int) -> list[list[int]]:
    """Returns positions in the shard, in batches of one input size whose tokens together keep within the budget.

    Sizes come in the order of their first sample. A sample that is over the budget alone makes its own batch.
    No batch crosses a shard, so that any worker that takes the shard computes the same numbers.

    >>> batches([(28, 28), (56, 56), (28, 28), (28, 28)], tokens=[4, 16, 4, 4], budget=8)
    [[0, 2], [3], [1]]
    """
    groups: dict[Hashable, list[int]] = {}
    for position, size in enumerate(sizes):
        groups.setdefault(size, []).append(position)
    return [
        positions[start : start + step]
        for positions in groups.values()
        for step in [max(1, budget // max(1, tokens[positions[0]]))]
        for start in range(0, len(positions), step)
    ]
