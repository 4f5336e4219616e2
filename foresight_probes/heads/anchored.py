"""Set prediction by queries that have places: each looks at the tokens around its own and draws a box relative to it.

Queries with places are the one idea of anchor and deformable DETR (Wang et al., "Anchor DETR", AAAI 2022; Zhu et al.,
"Deformable DETR", ICLR 2021): a query need not learn where to look before it can learn what it sees.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample

WIDTH, NUM_HEADS = 128, 4
"""Channels of a query, and heads of its attention."""

UNIT = 0.1
"""Distance, as a fraction of the image, that enters values as 1; boxes are drawn in the same unit."""

REACHES = (0.03, 0.2)
"""Shortest and longest reach of the attention's heads before training, as fractions of the image."""


class Head(ProbeHead):
    """tokens [B, N, D] with places -> queries with places [B, P, 128], 4 heads -> values [B, P, C] about the places.

    Keys and values are linear in a token; a hidden layer adds to them, from zero on, what only a product of channels
    tells, which a mean over tokens would lose. The places begin on an even grid over the image and the last layer at
    zero. The attention of a head falls with the squared distance of a token from the query's place, over twice the
    square of the head's learned reach. Values carry how far the token lies from the place, so that a box that is known
    relative to a token is known relative to the place by a linear map.
    """

    learning_rate = 0.002
    predicts = ("per_sample",)
    information = ("token", "place")

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        count = outputs.num_predictions
        self.keys = nn.Linear(width, WIDTH, bias=False)
        self.values = nn.Linear(width, WIDTH)
        self.hidden = nn.Sequential(nn.Linear(width, WIDTH), nn.GELU())
        self.nonlinear = nn.Linear(WIDTH, 2 * WIDTH, bias=False)
        nn.init.zeros_(self.nonlinear.weight)
        self.offsets = nn.Linear(2, WIDTH, bias=False)
        self.queries = nn.Parameter(torch.randn(count, WIDTH))
        self.start: Tensor
        self.register_buffer("start", even_places(count), persistent=False)
        self.shifts = nn.Parameter(torch.zeros(count, 2))
        shortest, longest = torch.tensor(REACHES).log()
        self.log_reaches = nn.Parameter(torch.linspace(float(shortest), float(longest), NUM_HEADS))
        self.norm = nn.LayerNorm(WIDTH)
        self.feed_forward = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.last = nn.Linear(WIDTH, outputs.channels)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def places(self) -> Tensor:
        """Returns each query's place, x and y as fractions of the image, [P, 2]."""
        return self.start + self.shifts

    def forward(self, features: Features) -> Prediction:
        attended_BPD = self.attend(features)
        values_BPC = self.last(attended_BPD + self.feed_forward(self.norm(attended_BPD + self.queries)))
        return replace(per_sample(values_BPC, self.outputs), places=self.places.expand(len(values_BPC), -1, -1))

    def attend(self, features: Features) -> Tensor:
        """Returns for each query the sum of its heads' values of tokens, weighted by the attention, [B, P, 128]."""
        centres_BN2 = features.cells[..., :2]
        added_keys_BND, added_values_BND = self.nonlinear(self.hidden(features.tokens)).chunk(2, dim=-1)
        keys_BND = self.keys(features.tokens) + added_keys_BND
        values_BND = self.values(features.tokens) + added_values_BND + self.offsets(centres_BN2 / UNIT)
        queries_BPD = self.queries.expand(len(values_BND), -1, -1)
        queries, keys, values = map(_by_head, (queries_BPD, keys_BND, values_BND))
        alike = len(set(features.grids)) == 1 and bool(features.mask.all())
        seen = slice(1) if alike else slice(None)  # tokens that lie alike in all samples are as near in all
        bias = self.distance_bias(centres_BN2[seen]).masked_fill(~features.mask[seen, None, None], -torch.inf)
        by_head_BHPD = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
        attended_BPD: Tensor = by_head_BHPD.transpose(1, 2).flatten(2) - self.offsets(self.places / UNIT)
        return attended_BPD

    def distance_bias(self, centres_BN2: Tensor) -> Tensor:
        """Returns what is added to the logits of the attention, [B, heads, P, N]."""
        squared_BPN = (centres_BN2[:, None] - self.places[:, None]).square().sum(-1)
        bias_BHPN: Tensor = -squared_BPN[:, None] / (2 * (2 * self.log_reaches).exp()[:, None, None])
        return bias_BHPN


def even_places(count: int) -> Tensor:
    """Returns places on even rows over the image, as near to a square grid as can be, [count, 2]: x and y.

    >>> even_places(3).tolist()  # a row of two above a row of one
    [[0.25, 0.25], [0.75, 0.25], [0.5, 0.75]]
    """
    rows = max(1, round(count**0.5))
    places = []
    for row in range(rows):
        columns = (count - row - 1) // rows + 1
        places += [((column + 0.5) / columns, (row + 0.5) / rows) for column in range(columns)]
    return torch.tensor(places)


def _by_head(tokens_BND: Tensor) -> Tensor:
    """Takes channels apart by head of the attention, [B, N, 128] -> [B, heads, N, 128 / heads]."""
    batch, count, _ = tokens_BND.shape
    return tokens_BND.view(batch, count, NUM_HEADS, -1).transpose(1, 2)
