"""Kinds of tasks: classification, regression, pictures, and sets that are matched with the truth."""
