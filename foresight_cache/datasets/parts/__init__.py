"""Pieces of readers and generators: safe paths, clip files, class folders, COCO's JSON, questions, motion, digits."""
