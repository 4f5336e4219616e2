"""Distance of textures: of the correlations between channels of feature maps, wherever in a picture they occur."""

from collections.abc import Sequence

import torch
from torch import Tensor


def gram_matrix(maps: Tensor) -> Tensor:
    """[B, D, D] correlations of the channels of feature maps [B, D, h, w], per place: F Fᵀ / (h w).

    Gatys et al., "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016).
    """
    flat = maps.flatten(2)
    return flat @ flat.mT / flat.shape[2]


def gram_distance(found: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """How far the textures of pictures are apart, [B] from 0 (equal) to 1 (no two correlations in common).

    For one layer ‖G - G'‖ / (‖G‖ + ‖G'‖) with Frobenius norms, so that neither the depth of a layer nor the scale of
    its values matters; then the mean over layers. Equal Gram matrices of zeros have the distance 0.

    Args:
        found, truth: per layer the feature maps [B, D, h, w] of both pictures.

    >>> here, there = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    >>> here[0, 0], there[0, 1] = 1.0, 1.0  # each has another channel
    >>> gram_distance([here], [there]).item(), gram_distance([here], [3 * here]).item()
    (0.7071067690849304, 0.800000011920929)
    """
    distances = []
    for one, other in zip(found, truth, strict=True):
        first, second = gram_matrix(one), gram_matrix(other)
        scale = _norm(first) + _norm(second)
        distances.append(_norm(first - second) / scale.clamp(min=torch.finfo(scale.dtype).tiny))
    return torch.stack(distances).mean(0)


def _norm(matrices: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.matrix_norm(matrices)
    return norms
