"""Ridge regression on the mean over tokens or on each token, solved exactly for a whole grid of penalties."""

from foresight_probes.heads.linear import PooledLinear, TokenLinear


class Ridge(PooledLinear):
    """pooled [B, D] -> values [B, P, C]; `training.closed_forms` finds its weights."""

    solver = "ridge"


class TokenRidge(TokenLinear):
    """tokens [B, N, D] -> values [B, N, C]; `training.closed_forms` finds its weights."""

    solver = "ridge"


HEADS = {"ridge": Ridge, "token-ridge": TokenRidge}
