"""Extraction: prepared shards go through the frozen model into a cache, after a look at the room that it takes."""
