"""The cache on disk: layout and its merging, objects, commits with statistics of features, and where it lives."""
