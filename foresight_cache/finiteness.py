"""Numbers of features that are not finite, which would make every sum that they are part of not finite too."""

import ml_dtypes
import numpy as np

_EXPONENTS = {np.dtype(ml_dtypes.bfloat16): 0x7F80, np.dtype(np.float16): 0x7C00}
"""Bits of the exponent, all of which are set in what is no finite number."""


def not_finite(numbers: np.ndarray) -> int:
    """Returns how many numbers are NaN or infinite; whole numbers never are.

    >>> not_finite(np.array([1, np.nan, -np.inf, 3e38]).astype(ml_dtypes.bfloat16)), not_finite(np.zeros(3, np.uint8))
    (2, 0)
    """
    exponent = _EXPONENTS.get(numbers.dtype)
    if exponent is not None:  # NumPy's own way through float32 takes ten times as long
        bits = np.ascontiguousarray(numbers).view(np.uint16) & np.uint16(exponent)
        return int(np.count_nonzero(bits == exponent)) if bits.size and bits.max() == exponent else 0
    return numbers.size - int(np.count_nonzero(np.isfinite(numbers))) if numbers.dtype.kind in "fV" else 0
