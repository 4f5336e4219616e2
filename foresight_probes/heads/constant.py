"""The best constant answer for the whole sample or for each token: the most frequent classes, or the mean."""

from foresight_probes.heads.linear import PooledLinear, TokenLinear


class Constant(PooledLinear):
    """pooled [B, D] -> values [B, P, C]; its weights stay 0, and `training.closed_forms` finds its bias."""

    solver = "constant"


class TokenConstant(TokenLinear):
    """tokens [B, N, D] -> values [B, N, C]; its weights stay 0, and `training.closed_forms` finds its bias."""

    solver = "constant"


HEADS = {"constant": Constant, "token-constant": TokenConstant}
