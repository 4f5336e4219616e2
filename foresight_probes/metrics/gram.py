"""Distance of textures, by the correlations between channels of feature maps wherever in a picture they occur."""

from collections.abc import Sequence

import torch
from torch import Tensor


def gram_matrix(maps_BDHW: Tensor) -> Tensor:
    """Returns the Gram matrices F Fᵀ / (H W) of feature maps, [B, D, D].

    Equation 3 of Gatys et al., "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016), over the number
    of positions.
    """
    flat = maps_BDHW.flatten(2)
    return flat @ flat.mT / flat.shape[2]


def gram_distance(maps: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Returns how far the textures of pictures are apart, [B] from 0 (equal) to 1 (no two correlations in common).

    For one layer ‖G - G'‖ / (‖G‖ + ‖G'‖) with Frobenius norms, so that neither the depth of a layer nor the scale of
    its values matters; then the mean over layers. Equal Gram matrices of zeros have the distance 0.

    Args:
        maps, truth: Feature maps [B, D, H, W] of both pictures, one per layer.

    >>> here, there = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    >>> here[0, 0], there[0, 1] = 1.0, 1.0  # each has another channel
    >>> gram_distance([here], [there]).item(), gram_distance([here], [3 * here]).item()
    (0.7071067690849304, 0.800000011920929)
    """
    distances = []
    for one, other in zip(maps, truth, strict=True):
        first, second = gram_matrix(one), gram_matrix(other)
        scale = _norm(first) + _norm(second)
        distances.append(_norm(first - second) / scale.clamp(min=torch.finfo(scale.dtype).tiny))
    return torch.stack(distances).mean(0)


def _norm(matrices: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.matrix_norm(matrices)
    return norms
