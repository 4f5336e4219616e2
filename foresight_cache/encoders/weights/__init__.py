"""Where weights come from: files and their digests, loading only what is needed, small random models."""
