"""Speeds of GPUs from what their maker says, where none is at hand to be measured."""

from collections.abc import Mapping

PEAKS: Mapping[str, float] = {"A100": 312e12, "H100": 989e12, "H200": 989e12}
"""Dense bfloat16 operations in a second that NVIDIA names for a card (SXM), by its kind."""
SHARES = (0.1, 0.4)
"""Shares of the peak between which an extraction runs: `docs/performance.md` measured 0.11 on an H100; the larger is
that of good kernels in large batches."""


def gpu_seconds(operations: float, kind: str, share: float) -> float:
    """Returns the seconds in which one GPU of a kind does so many operations at a share of its peak.

    >>> gpu_seconds(312e12, "A100", 0.5)
    2.0
    """
    return operations / (PEAKS[kind] * share)


def peaks_text() -> str:
    """Lists the peaks in TFLOP/s."""
    return ", ".join(f"{kind} {peak / 1e12:g}" for kind, peak in PEAKS.items())
