"""Extraction: the plan of a cache and its room on the disk, what inputs are made of samples and in which batches
they go through the frozen model, checks of features, what runs out of memory, recording, the rerun of a cache."""
