"""Stage 2: probes that are trained from a cache alone."""
