"""The measuring that parts of the benchmark share: ratios of two works that are timed in turn."""
