"""Caches are moved from place to place, object by object, and mended from another copy; nothing is computed again."""
