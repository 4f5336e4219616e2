"""Weights and the files that they are in: finding, digesting and loading them, or drawing them at random."""
