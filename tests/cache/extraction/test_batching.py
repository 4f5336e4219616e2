"""What the composition of batches promises, for any shard."""

from hypothesis import given
from hypothesis import strategies as st

from foresight_cache.extraction.batching import batches

SIZES = st.lists(st.sampled_from([(28, 28), (56, 28), (112, 112)]), min_size=1, max_size=64)


@given(sizes=SIZES, budget=st.integers(1, 200))
def test_each_sample_once_one_size_within_the_budget(sizes: list[tuple[int, int]], budget: int) -> None:
    tokens = [height * width // 196 for height, width in sizes]
    planned = batches(sizes, tokens, budget)
    assert sorted(position for batch in planned for position in batch) == list(range(len(sizes)))
    for batch in planned:
        assert len({sizes[position] for position in batch}) == 1
        assert len(batch) == 1 or sum(tokens[position] for position in batch) <= budget
        assert batch == sorted(batch)
