"""Propagation of the masks of a clip's first frame to the others by nearest tokens.

This is the evaluation on DAVIS of Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (ICCV
2021), after Jabri et al., "Space-Time Correspondence as a Contrastive Random Walk" (NeurIPS 2020).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_PIECE = 1024
"""Tokens whose neighbours are looked for at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PropagationOptions:
    """How labels are passed on; the defaults are those of the evaluation of DINO."""

    neighbours: int = 5
    """Nearest tokens of all earlier steps that are seen, from which a token takes its labels."""
    temperature: float = 0.1
    """A neighbour weighs exp(cosine / temperature)."""
    radius: int = 12
    """Rows and columns that a neighbour may be away, in tokens."""
    steps: int = 7
    """Earlier time steps that are seen, beside the first one."""


def propagate(tokens_THWD: np.ndarray, first_HWK: np.ndarray, options: PropagationOptions | None = None) -> np.ndarray:
    """Returns the share of each object in each token of every time step, float64 [T, H, W, K].

    The first step has the shares that are given; each further one those that its tokens' neighbours have, which may
    have been passed on themselves.

    Args:
        tokens_THWD: Tokens of one clip, [T, H, W, D].
        first_HWK: Shares of the K objects, of which the background is one, in the tokens of the first step.
        options: How; None for the defaults.
    """
    rule = options or PropagationOptions()
    steps, height, width, channels = tokens_THWD.shape
    units_TND = functional.normalize(
        torch.from_numpy(tokens_THWD.astype(np.float64)).reshape(steps, -1, channels), dim=2
    )
    shares: list[Tensor] = [torch.from_numpy(first_HWK.astype(np.float64)).reshape(height * width, -1)]
    far_NN = _is_far(height, width, rule.radius)
    for step in range(1, steps):
        seen = [0, *range(max(1, step - rule.steps), step)]
        known_MD, known_MK = units_TND[seen].flatten(0, 1), torch.cat([shares[other] for other in seen])
        parts = [
            _passed_on(own_BD, known_MD, known_MK, far_BN.repeat(1, len(seen)), rule)
            for own_BD, far_BN in zip(torch.split(units_TND[step], _PIECE), torch.split(far_NN, _PIECE), strict=True)
        ]
        shares.append(torch.cat(parts))
    passed: np.ndarray = torch.stack(shares).reshape(steps, height, width, -1).numpy()
    return passed


def _is_far(height: int, width: int, radius: int) -> Tensor:
    """Returns whether two tokens of a frame lie further apart than `radius` rows or columns, bool [N, N]."""
    y, x = (values.reshape(-1) for values in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    return ((y[:, None] - y).abs() > radius) | ((x[:, None] - x).abs() > radius)


def _passed_on(own_BD: Tensor, known_MD: Tensor, known_MK: Tensor, far_BM: Tensor, rule: PropagationOptions) -> Tensor:
    cosines_BM = (own_BD @ known_MD.T).masked_fill(far_BM, -torch.inf)
    nearest_BJ, numbers_BJ = cosines_BM.topk(min(rule.neighbours, cosines_BM.shape[1]), dim=1)
    weights_BJ = (nearest_BJ / rule.temperature).softmax(1)
    return torch.einsum("bj,bjk->bk", weights_BJ, known_MK[numbers_BJ])


def labels_at_centres(labels_HW: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Returns the label of the pixel in the middle of each of a frame's cells, [rows, columns].

    >>> labels_at_centres(np.arange(16).reshape(4, 4), 2, 2).tolist()
    [[5, 7], [13, 15]]
    """
    height, width = labels_HW.shape
    y, x = (((np.arange(cells) + 0.5) / cells * size).astype(int) for cells, size in ((rows, height), (columns, width)))
    found: np.ndarray = labels_HW[np.ix_(y, x)]
    return found


def masks_of(shares_HWK: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the object of each pixel of a frame of some height and width, int64 [H, W].

    Shares are interpolated bilinearly; those of each object are spread from 0 to 1 over the frame, and the largest one
    decides, as in the evaluation of DINO. Of as large ones the lower number counts.
    """
    drawn_KHW = functional.interpolate(
        torch.from_numpy(shares_HWK).permute(2, 0, 1)[None], size=size, mode="bilinear", align_corners=False
    )[0]
    least_K, most_K = drawn_KHW.flatten(1).amin(1), drawn_KHW.flatten(1).amax(1)
    spread_K = torch.where(most_K > least_K, most_K - least_K, 1.0)
    spread_KHW = (drawn_KHW - least_K[:, None, None] * (most_K > 0)[:, None, None]) / spread_K[:, None, None]
    masks: np.ndarray = spread_KHW.argmax(0).numpy()
    return masks
