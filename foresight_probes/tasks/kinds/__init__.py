"""Kinds of tasks by what they predict: classes, numbers, pictures, and sets that are matched with the truth."""
