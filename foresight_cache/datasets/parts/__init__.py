"""Pieces that readers share: safe paths, text and clip files, COCO's JSON, objects and segmentation, trajectories."""
