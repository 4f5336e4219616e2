"""Pieces that readers and generators share: safe paths, text and clip files, COCO's JSON, trajectories, digits."""
