"""Media: decodes images, clips and dense labels from encoded bytes to pixels, and samples the frames of a clip."""
