"""Ridge regression on the mean over tokens, solved exactly for a whole grid of penalties."""

from foresight_probes.heads import pooled_linear


class Head(pooled_linear.Head):
    """pooled [B, D] -> values [B, P, C]; see `learning.closed_forms`."""

    solver = "ridge"
