"""Multinomial logistic regression on the mean over tokens or on each token, solved for a grid of penalties."""

from foresight_probes.heads.linear import PooledLinear, TokenLinear


class Logistic(PooledLinear):
    """pooled [B, D] -> values [B, P, C]; `training.closed_forms` finds its weights."""

    solver = "logistic"


class TokenLogistic(TokenLinear):
    """tokens [B, N, D] -> values [B, N, C]; `training.closed_forms` finds its weights."""

    solver = "logistic"


HEADS = {"logistic": Logistic, "token-logistic": TokenLogistic}
