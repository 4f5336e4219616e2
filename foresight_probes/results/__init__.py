"""What a run leaves behind: its result, scores of samples and weights, and tables over many."""
