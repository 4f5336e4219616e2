"""Adapters from cached tokens to the latents of a video generator: joined caches, training, measures, pictures."""
