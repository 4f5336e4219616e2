"""Prepares a raw dataset as a folder of shards: listed, selected, checked, packed, and resumed if interrupted."""
