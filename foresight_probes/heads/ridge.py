"""Heads that are ridge regressions of a sample or of each token, solved exactly for a whole grid of penalties."""

from foresight_probes.heads.linear import PooledLinear, TokenLinear


class Ridge(PooledLinear):
    """Ridge regression on the mean over tokens. Shapes: pooled [B, D] -> values [B, P, C]."""

    solver = "ridge"


class TokenRidge(TokenLinear):
    """Ridge regression on each token, one map for all. Shapes: tokens [B, N, D] -> values [B, N, C]."""

    solver = "ridge"


HEADS = {"ridge": Ridge, "token-ridge": TokenRidge}
