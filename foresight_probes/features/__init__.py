"""From a cache to batches: sources, order, memory and scale of the features of a point."""
