"""Results of runs: their metrics, scores of samples and weights in files, and tables over many."""
