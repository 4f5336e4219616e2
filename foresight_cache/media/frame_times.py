"""Times at which chosen frames of a clip are shown, as a model can be told them."""

from collections.abc import Sequence

from foresight_cache.samples import ClipTimes, Sample

_STEADY = 0.1
"""Largest distance of a frame from its place at the mean rate, in durations of a frame, that is no variable rate."""
_ROUNDING = 0.001
"""Seconds that some containers round times to."""


def clip_times(sample: Sample, indices: Sequence[int], seconds: Sequence[float] | None) -> ClipTimes | None:
    """Returns when the frames `indices`, ascending, of a clip are shown; None where its rate is not known.

    `seconds` are the times of all of its frames, as `decode_timed_clip` returns them. They are left out where frames
    follow each other at the mean rate, to the rounding of the container.
    """
    rate = sample.frames_per_second
    if rate is None:
        return None
    varies = seconds is not None and not is_steady(seconds, rate)
    measured = tuple(seconds[index] for index in indices) if seconds is not None and varies else None
    return ClipTimes(frames=sample.frames, frames_per_second=rate, indices=tuple(indices), measured=measured)


def is_steady(seconds: Sequence[float], frames_per_second: float) -> bool:
    """Tells whether frames at these times follow each other at a constant rate.

    >>> is_steady([0.0, 0.033, 0.067, 0.1], 30.0), is_steady([0.0, 0.5, 0.6, 1.5], 2.0)
    (True, False)
    """
    most = max(_STEADY / frames_per_second, _ROUNDING)
    return all(abs(time - number / frames_per_second) <= most for number, time in enumerate(seconds))
