"""Stage 1 and the cache: extract a frozen model's features once, read them from anywhere.

Importing this package loads no torch; `open_cache` is all that a notebook needs.
"""

from foresight_cache.errors import ForesightError
from foresight_cache.reader import Cache, CachedPoint, open_cache

__all__ = ["Cache", "CachedPoint", "ForesightError", "open_cache"]
