"""The cache on disk: names and shapes, objects, commits, and where it lives."""
