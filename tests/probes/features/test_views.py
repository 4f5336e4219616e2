"""Views against numpy's affine map, and linear heads on them against one map of the features themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.batches import OutputSpec
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.views import PooledView, TokenView, View
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from foresight_probes.training.started_head import ViewedHead, composed
from tests.support.array_source import Arrays

WIDTH, FEW = 7, 3
GRIDS = [Grid(1, 2, 2 + index % 3) for index in range(9)]
SPLIT = Split(train=(0, 2, 3, 5, 6), validation=(1, 7), test=(4, 8), digest="")


def tokens() -> list[np.ndarray]:
    """Correlated channels of different scale, far from zero, of samples that are unlike each other."""
    generator = np.random.default_rng(0)
    mix = generator.normal(size=(WIDTH, WIDTH)) * 10.0 ** np.arange(-2, 5)
    own = [generator.normal(size=(grid.tokens, WIDTH)) + generator.normal(size=WIDTH) for grid in GRIDS]
    return [(each @ mix + 3).astype(np.float32) for each in own]


def view(*, all_channels: bool) -> View:
    generator = np.random.default_rng(1)
    weight, bias = generator.normal(size=(FEW, WIDTH)), generator.normal(size=FEW)
    return View(
        name="any",
        weight=torch.from_numpy(weight).float(),
        bias=torch.from_numpy(bias).float(),
        start=0,
        all_channels=all_channels,
    )


def data() -> FeatureData:
    return FeatureData(Arrays(tokens(), GRIDS), SPLIT, {}, TrainingOptions())


@pytest.mark.parametrize("all_channels", [False, True])
@pytest.mark.parametrize("kind", [TokenView, PooledView])
def test_a_view_is_numpy_s_affine_map(kind: type[TokenView | PooledView], *, all_channels: bool) -> None:
    """Of tokens, or of the means over tokens, standardised by the training samples."""
    rows = [each.astype(np.float64) for each in tokens()]
    rows = rows if kind is TokenView else [each.mean(0, keepdims=True) for each in rows]
    training = np.concatenate([rows[row] for row in SPLIT.train])
    standardised = [(each - training.mean(0)) / training.std(0) for each in rows]
    own = view(all_channels=all_channels)
    source = data()
    seen = kind(source, source.standardization(), own)
    assert seen.width == FEW + WIDTH * all_channels
    for row, expected in enumerate(standardised):
        few = expected @ own.weight.double().numpy().T + own.bias.double().numpy()
        out = np.full((seen.grid(row).tokens, seen.width), np.nan, np.float32)
        seen.read_into(row, out, check=True)
        np.testing.assert_allclose(out, np.hstack([few, expected]) if all_channels else few, rtol=1e-4, atol=1e-4)
    assert {seen.grid(row) for row in range(len(rows))} == ({Grid(1, 1, 1)} if kind is PooledView else set(GRIDS))


@pytest.mark.parametrize("all_channels", [False, True])
@pytest.mark.parametrize("name", ["pooled-linear", "token-linear"])
def test_a_linear_head_on_a_view_is_one_map_of_the_features(name: str, *, all_channels: bool) -> None:
    own, outputs = view(all_channels=all_channels), OutputSpec(num_predictions=1, channels=4)
    on_view = heads.build(name, width=own.width, outputs=outputs, seed=0)
    whole = heads.build(name, width=WIDTH, outputs=outputs, seed=1)
    assert isinstance(on_view, LinearHead)
    torch.nn.init.normal_(on_view.linear.weight, generator=torch.Generator().manual_seed(0))
    weight, bias = composed(on_view.linear.weight.detach(), on_view.linear.bias.detach(), own)
    whole.load_state_dict({"linear.weight": weight, "linear.bias": bias})
    source = data()
    batch = source.standardization()(source.batch(range(len(GRIDS))).features)
    with torch.no_grad():
        expected = ViewedHead(on_view, own, pooled=name == "pooled-linear")(batch)
        found = whole(batch)
    torch.testing.assert_close(found.values[found.mask], expected.values[expected.mask], rtol=1e-5, atol=1e-5)
    by_hand = (batch.pooled[:, None] if name == "pooled-linear" else batch.tokens) @ weight.T + bias
    torch.testing.assert_close(found.values[found.mask], by_hand[found.mask], rtol=1e-5, atol=1e-5)


def test_a_viewed_head_sees_the_means_of_the_viewed_tokens() -> None:
    """A head of tokens that reads means as well: those of what it sees, padding left out."""
    own, source = view(all_channels=True), data()
    batch = source.standardization()(source.batch(range(len(GRIDS))).features)
    head = heads.build("pooled-linear", width=own.width, outputs=OutputSpec(num_predictions=1, channels=2), seed=0)
    with torch.no_grad():
        found = ViewedHead(head, own, pooled=False)(batch).values
        means = torch.stack([own(each[mask]).mean(0) for each, mask in zip(batch.tokens, batch.mask, strict=True)])
        expected = head(replace(batch, pooled=means)).values
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
