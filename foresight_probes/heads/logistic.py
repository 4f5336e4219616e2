"""Heads that are multinomial logistic regressions of a sample or of each token, solved for a grid of penalties."""

from foresight_probes.heads.linear import PooledLinear, TokenLinear


class Logistic(PooledLinear):
    """Logistic regression on the mean over tokens. Shapes: pooled [B, D] -> values [B, P, C]."""

    solver = "logistic"


class TokenLogistic(TokenLinear):
    """Logistic regression on each token, one map for all. Shapes: tokens [B, N, D] -> values [B, N, C]."""

    solver = "logistic"


HEADS = {"logistic": Logistic, "token-logistic": TokenLogistic}
