"""Decodes images, clips and dense labels from encoded bytes to pixels, and chooses which frames of a clip are used."""
