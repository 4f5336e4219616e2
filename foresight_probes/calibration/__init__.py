"""The calibration of probes: each is trained on planted caches, in which what can be known is known.

A cache is drawn in three steps: scenes (`scenes`), the facts about them that each token carries (`facts`), and the
coordinates in which these stand as features (`forms`, `geometries`).
"""
