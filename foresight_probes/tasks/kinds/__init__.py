"""Kinds of answers that tasks share: classes, numbers, sets matched with the truth."""
