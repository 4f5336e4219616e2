"""Features of points in batches from a cache: sources, sampling, memory, standardization, patches of pixels."""
