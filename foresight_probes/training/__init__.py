"""Training of heads on a point: a bank steps them together, task by task; closed forms and regressions solve them."""
