"""Adapters: lattices, joined caches, training, measures."""
