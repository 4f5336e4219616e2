"""The best constant answer for each token: the most frequent classes, or the mean."""

from foresight_probes.heads import token_linear


class Head(token_linear.Head):
    """tokens [B, N, D], of which it uses nothing, -> values [B, N, C], each with its token's cell.

    See `learning.closed_forms`.
    """

    solver = "constant"
