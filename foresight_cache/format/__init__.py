"""The cache on disk: names and shapes, objects, commits with statistics of features, claims, and where it lives."""
