"""Pooling by several queries over the tokens as they are, worked out token by token."""

from typing import Any

import numpy as np
import torch

from foresight_probes import heads
from foresight_probes.batches import OutputSpec
from tests.probes.test_registries import RAGGED, features


def test_each_query_pools_its_own_channels() -> None:
    """32 queries over tokens of six channels: a softmax of products over the root of six, without padding."""
    head: Any = heads.build("efficient-probing", width=6, outputs=OutputSpec(num_predictions=1, channels=3), seed=0)
    batch = features(RAGGED)
    with torch.no_grad():
        pooled = head.pool(batch).numpy()
        predicted = head(batch).values[:, 0].numpy()
    queries, tokens = head.queries.detach().numpy().astype(float), batch.tokens.numpy().astype(float)
    weight, bias = (parameter.detach().numpy().astype(float) for parameter in head.values.parameters())
    for sample, grid in enumerate(batch.grids):
        own = tokens[sample, : grid.tokens]
        expected = []
        for number, query in enumerate(queries):
            share = np.exp([token @ query / 6**0.5 for token in own])
            channels = slice(8 * number, 8 * number + 8)
            values = [weight[channels] @ token + bias[channels] for token in own]
            expected.append(np.average(values, axis=0, weights=share))
        np.testing.assert_allclose(pooled[sample], np.concatenate(expected), atol=1e-5)
    weight, bias = (parameter.detach().numpy() for parameter in head.last.parameters())
    np.testing.assert_allclose(predicted, pooled @ weight.T + bias, atol=1e-5)


def test_there_is_no_projection_of_keys() -> None:
    """Parameters: the queries, one projection of values, one linear map."""
    head = heads.build("efficient-probing", width=6, outputs=OutputSpec(num_predictions=1, channels=3), seed=0)
    assert sum(parameter.numel() for parameter in head.parameters()) == 32 * 6 + (6 + 1) * 256 + (256 + 1) * 3
