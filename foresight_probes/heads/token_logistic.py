"""Multinomial logistic regression on each token, solved to its optimum for a grid of penalties."""

from foresight_probes.heads import token_linear


class Head(token_linear.Head):
    """tokens [B, N, D] -> values [B, N, C], each with its token's cell; see `learning.closed_forms`."""

    solver = "logistic"
