"""Which frames are taken, against cases worked by hand and the properties that any rule should have."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresight_cache.errors import BadSample, UsageError
from foresight_cache.media.frame_sampling import Sampling, uniform
from foresight_cache.samples import Sample
from tests.support import planted


def clip(frames: int, rate: float | None) -> Sample:
    return dataclasses.replace(planted.sample(0), media="clip", frames=frames, frames_per_second=rate)


@given(frames=st.integers(1, 5000), count=st.integers(1, 300))
def test_segments_are_equal_and_their_middles_taken(frames: int, count: int) -> None:
    indices = uniform(frames, count)
    assert len(indices) == count
    assert indices == sorted(indices)
    for place, index in enumerate(indices):
        assert index <= (place + 0.5) * frames / count < index + 1, "the frame that is shown in the middle"
    if frames >= count:
        assert len(set(indices)) == count
    assert all(first + last in (frames - 1, frames) for first, last in zip(indices, reversed(indices), strict=True))


@pytest.mark.parametrize(
    ("frames", "rate", "sampling", "count"),
    [
        (100, 25.0, Sampling(frames=8), 8),
        (3, 25.0, Sampling(frames=8), 8),
        (100, 25.0, Sampling(frames=64, per_second=2), 8),
        (100, 25.0, Sampling(frames=6, per_second=2), 6),
        (110, 25.0, Sampling(frames=64, per_second=2), 9),
        (3, 25.0, Sampling(frames=64, per_second=2), 1),
        (10, 25.0, Sampling(frames=64, per_second=100), 10),
        (100, None, Sampling(frames=8), 8),
    ],
)
def test_counts(frames: int, rate: float | None, sampling: Sampling, count: int) -> None:
    assert sampling.count(clip(frames, rate)) == len(sampling.indices(clip(frames, rate))) == count


def test_an_image_is_one_frame() -> None:
    assert Sampling(frames=8, per_second=2).indices(planted.sample(0)) == [0]


def test_a_clip_of_unknown_rate_is_not_sampled_by_time() -> None:
    with pytest.raises(BadSample, match="not known how many frames per second the clip has"):
        Sampling(per_second=2).indices(clip(10, None))


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"per_second": 0}, {"per_second": -1}, {"per_second": float("nan")}])
def test_impossible_rules(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected"):
        Sampling(**wrong)  # type: ignore[arg-type]
