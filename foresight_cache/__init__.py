"""The cache of a frozen model's features: its reader, writer and verification, and what all parts share: samples and
their table, points, annotations, geometry, errors, records, registries, lists, the help of options.

What makes a cache (datasets, encoders, extraction) and what all of it stands on have folders of their own.

Importing this package loads no torch; `open_cache` is all that a notebook needs.
"""

from importlib.metadata import version

from foresight_cache.cached_point import CachedPoint
from foresight_cache.errors import ForesightError
from foresight_cache.reader import Cache, open_cache

__all__ = ["Cache", "CachedPoint", "ForesightError", "open_cache"]
__version__ = version("foresight-cache")
