"""Heads that answer the best constant, the most frequent classes or the mean, for a sample or for each token."""

from foresight_probes.heads.linear import PooledLinear, TokenLinear


class Constant(PooledLinear):
    """The best constant answer for a sample. Shapes: pooled [B, D] -> values [B, P, C]."""

    solver = "constant"
    information = ()


class TokenConstant(TokenLinear):
    """The best constant answer for each token. Shapes: tokens [B, N, D] -> values [B, N, C]."""

    solver = "constant"
    information = ()


HEADS = {"constant": Constant, "token-constant": TokenConstant}
