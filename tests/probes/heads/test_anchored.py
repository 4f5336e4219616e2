"""Queries with places, by hand."""

from typing import Any

import numpy as np
import torch

from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.batches import OutputSpec
from foresight_probes.heads.anchored import even_places
from foresight_probes.heads.layers.attention import NUM_HEADS, WIDTH
from foresight_probes.tasks.boxes import decode_boxes
from tests.support.task_samples import clip

GRID = Grid(1, 2, 3)


def built(count: int, width: int = 2) -> Any:
    """A head whose attention knows nothing of what tokens hold, and whose values are of the kind that a test fills."""
    head: Any = heads.build("anchored", width=width, outputs=OutputSpec(num_predictions=count, channels=5), seed=0)
    with torch.no_grad():
        head.queries.zero_()
        head.values.weight.zero_()
        head.values.bias.zero_()
        head.offsets.weight.zero_()
    return head


def test_places_begin_on_an_even_grid() -> None:
    hundred = even_places(100)
    steps = (torch.arange(10) + 0.5) / 10
    torch.testing.assert_close(hundred.view(10, 10, 2), torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1))
    for count in (1, 2, 7, 12, 50):
        assert even_places(count).shape == (count, 2)
        torch.testing.assert_close(even_places(count).min(0).values + even_places(count).max(0).values, torch.ones(2))


def test_attention_falls_with_the_distance_of_a_token_over_the_reach_of_the_head() -> None:
    """Against weights that numpy computes from the places, for a token that each channel of a head counts."""
    head = built(4, width=6)
    with torch.no_grad():
        head.values.weight[:6] = torch.eye(6)  # the first head's channels are the six tokens
        head.values.weight[WIDTH // NUM_HEADS : WIDTH // NUM_HEADS + 6] = torch.eye(6)  # and the second's
        head.log_reaches[:2] = torch.tensor([0.1, 0.5]).log()
        head.shifts[1] = torch.tensor([0.2, -0.1])
        weights_PD = head.attend(clip(torch.eye(6)[None], (GRID,)))[0].numpy()
    centres = np.array([[(x + 0.5) / 3, (y + 0.5) / 2] for y in range(2) for x in range(3)])
    places = np.array([[0.25, 0.25], [0.95, 0.15], [0.25, 0.75], [0.75, 0.75]])
    for number, reach in enumerate((0.1, 0.5)):
        falling = np.exp(-((places[:, None] - centres) ** 2).sum(-1) / (2 * reach**2))
        own = weights_PD[:, number * WIDTH // NUM_HEADS :][:, :6]
        np.testing.assert_allclose(own, falling / falling.sum(1, keepdims=True), atol=1e-5)


def test_what_is_known_from_a_token_is_known_from_a_place() -> None:
    """Each token holds the way from its cell to one point; every query, wherever it looks, draws that point."""
    head = built(9)
    point = torch.tensor([0.4, 0.7])
    batch = clip(torch.zeros(1, 6, 2), (GRID,))
    batch.tokens[...] = (point - batch.cells[..., :2]) / 0.1
    with torch.no_grad():
        head.values.weight[:2] = torch.eye(2)
        head.offsets.weight[:2] = torch.eye(2)
        head.last.weight[:2, :2] = torch.eye(2)
        head.feed_forward[-1].weight.zero_()
        head.feed_forward[-1].bias.zero_()
        prediction = head(batch)
    assert prediction.places is not None
    assert torch.pdist(prediction.places[0]).min() > 0.1
    boxes = decode_boxes(prediction)[0]
    torch.testing.assert_close((boxes[:, :2] + boxes[:, 2:]) / 2, point.expand(9, -1), atol=1e-5, rtol=0)


def test_a_product_in_tokens_outlives_the_mean_over_them() -> None:
    """Tokens whose channels have equal signs, and others with unequal ones: the means of both are zero."""
    head = built(1)
    equal, unequal = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    batch = clip(torch.stack([equal, unequal]), (Grid(1, 1, 2),) * 2)
    with torch.no_grad():
        head.values.weight[:2] = torch.eye(2)
        torch.testing.assert_close(head.attend(batch)[0], head.attend(batch)[1], atol=1e-6, rtol=0)
        head.hidden[0].weight[:2], head.hidden[0].bias[:2] = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), 0
        head.nonlinear.weight[head.values.out_features, :2] = 1  # |a + b|, nearly, is the first value
        found = head.attend(batch)[:, 0, 0]
    torch.testing.assert_close(found, torch.tensor([1.909, 0.0]), atol=1e-3, rtol=0)  # GELU(2) + GELU(-2)
