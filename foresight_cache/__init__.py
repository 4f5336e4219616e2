"""Stage 1 and the cache: extract a frozen model's features once, read them from anywhere."""

from foresight_cache.errors import ForesightError

__all__ = ["ForesightError"]
