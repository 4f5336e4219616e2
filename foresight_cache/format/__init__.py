"""The cache on disk: names and shapes, objects, commits, claims, and where it lives."""
