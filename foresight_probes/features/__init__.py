"""Features of points in batches from a cache: sources, order, memory, standardization, patches of pixels."""
