"""Pieces that readers and generators share: safe paths, text and clip files, folders per class, COCO's JSON,
objects and segmentation, trajectories, digits."""
