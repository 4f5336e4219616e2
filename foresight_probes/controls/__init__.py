"""Answers that use no feature of the input, which a probe's number must be compared with."""
