"""What each head can see, and what it cannot."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch

from foresight_cache.errors import ProbeError
from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.batches import Features, OutputSpec
from foresight_probes.heads.capacity import hidden_width
from foresight_probes.heads.layers.alignment import nearest, on_first_grid
from foresight_probes.heads.layers.attention import position_encoding, time_encoding
from tests.probes.test_registries import EVEN, features, stir

PICTURE = OutputSpec(
    num_predictions=1, channels=1 * 28 * 28 * 3, predicts=("per_token",), grid=Grid(1, 4, 4), cell=(1, 28, 28, 3)
)


def changed(head: torch.nn.Module, batch: Features, row: int, token: int) -> torch.Tensor:
    """[P] bool: which predictions of a sample change with one of its tokens."""
    other = batch.tokens.clone()
    other[row, token] += 1
    pooled = batch.pooled.clone()
    pooled[row] += 1 / batch.mask[row].sum()
    with torch.no_grad():
        before, after = head(batch).values[row], head(replace(batch, tokens=other, pooled=pooled)).values[row]
    return (before - after).abs().amax(-1) > 1e-7


def test_token_heads_see_their_own_token_alone() -> None:
    for name in ("token-linear", "capacity-1m"):
        head = heads.build(
            name, width=6, outputs=OutputSpec(num_predictions=1, channels=3, predicts=("per_token",)), seed=0
        )
        assert changed(head, features(), 0, 5).nonzero().flatten().tolist() == [5]


def test_a_decoder_sees_its_neighbourhood() -> None:
    """A token in the corner reaches its neighbours, and not the other end of the picture."""
    head = heads.build("conv-decoder", width=6, outputs=replace(PICTURE, grid=Grid(1, 12, 12)), seed=0)
    stir(head)
    seen = changed(head, features((Grid(1, 12, 12),)), 0, 0).view(12, 12)
    assert seen[:2, :2].all()
    assert not seen[6:].any()
    assert not seen[:, 6:].any()


def test_a_decoder_draws_pieces_where_they_belong() -> None:
    """Moving the tokens by one cell moves the picture by one cell, away from the border."""
    head = heads.build("conv-decoder", width=6, outputs=replace(PICTURE, grid=Grid(1, 12, 12)), seed=0)
    stir(head)
    batch = features((Grid(1, 12, 12),))
    moved = batch.tokens.view(1, 12, 12, 6).roll((1, 2), dims=(1, 2)).view(1, 144, 6)
    with torch.no_grad():
        found, after = (head(each).values.view(12, 12, -1) for each in (batch, replace(batch, tokens=moved)))
    torch.testing.assert_close(found.roll((1, 2), dims=(0, 1))[5:8, 5:8], after[5:8, 5:8])


@pytest.mark.parametrize("cell", [(1, 14, 14, 3), (2, 28, 28, 3), (1, 16, 16, 1), (1, 4, 8, 1), (1, 7, 7, 3)])
def test_decoders_make_cells_of_any_size(cell: tuple[int, int, int, int]) -> None:
    channels = cell[0] * cell[1] * cell[2] * cell[3]
    outputs = OutputSpec(num_predictions=1, channels=channels, predicts=("per_token",), grid=Grid(2, 2, 4), cell=cell)
    for name in ("conv-decoder", "pooled-conv-decoder"):
        assert heads.build(name, width=6, outputs=outputs, seed=0)(features()).values.shape == (3, 16, channels)


def test_a_pooled_decoder_cannot_know_where_things_are() -> None:
    head = heads.build("pooled-conv-decoder", width=6, outputs=PICTURE, seed=0)
    batch = features((Grid(1, 4, 4),))
    mixed = replace(batch, tokens=batch.tokens.flip(1))
    assert torch.equal(head(batch).values, head(mixed).values)


def test_the_global_map_is_linear_and_sees_everything() -> None:
    outputs = OutputSpec(num_predictions=1, channels=5, predicts=("per_token",), grid=EVEN[0])
    head = heads.build("global-linear", width=6, outputs=outputs, seed=0)
    batch, other = features(), features(seed=1)
    assert changed(head, batch, 0, 3).all()
    between = replace(batch, tokens=0.3 * batch.tokens + 0.7 * other.tokens)
    expected = 0.3 * head(batch).values + 0.7 * head(other).values
    torch.testing.assert_close(head(between).values, expected)
    with pytest.raises(ProbeError, match="but a sample has .*; extract with one --size for all"):
        head(features((Grid(2, 2, 4), Grid(2, 1, 4))))


def test_attentive_pooling_does_not_know_places_and_queries_for_objects_do() -> None:
    outputs = OutputSpec(num_predictions=4, channels=3)
    batch = features()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    mixed = replace(batch, tokens=batch.tokens[:, order])
    for name, same in (("attentive", True), ("detr-plain", False), ("anchored", False), ("temporal-attentive", False)):
        head = heads.build(name, width=6, outputs=outputs, seed=0)
        stir(head)
        assert torch.allclose(head(batch).values, head(mixed).values, atol=1e-5) == same, name


def test_temporal_heads_put_time_steps_side_by_side() -> None:
    """A matrix that reads one channel of the second step finds its mean, or the token of the cell."""
    outputs = OutputSpec(num_predictions=1, channels=1, grid=Grid(2, 2, 4))
    batch = features()
    steps = batch.tokens.view(3, 2, 8, 6)
    for name, expected in (
        ("temporal-linear", steps[:, 1, :, 4].mean(1)),
        ("temporal-token-linear", steps[:, 1, :, 4]),
    ):
        head = heads.build(name, width=6, outputs=outputs, seed=0)
        linear = head.linear
        assert isinstance(linear, torch.nn.Linear)
        with torch.no_grad():
            linear.weight.zero_()
            linear.bias.zero_()
            linear.weight[0, 6 + 4] = 1
        torch.testing.assert_close(head(batch).values.squeeze(), expected)


def test_shorter_clips_miss_their_last_steps() -> None:
    outputs = OutputSpec(num_predictions=1, channels=1, grid=Grid(3, 1, 2))
    long, short = features((Grid(3, 1, 2), Grid(3, 1, 2))), features((Grid(3, 1, 2), Grid(2, 1, 2)))
    head = heads.build("temporal-linear", width=6, outputs=outputs, seed=0)
    filled = replace(long, tokens=short.tokens * short.mask[..., None])
    torch.testing.assert_close(head(short).values, head(filled).values)


@pytest.mark.parametrize(
    ("name", "millions"), [("capacity-1m", 1), ("capacity-5m", 5), ("capacity-10m", 10), ("capacity-50m", 50)]
)
@pytest.mark.parametrize("outputs", [PICTURE, OutputSpec(num_predictions=10, channels=5, predicts=("per_sample",))])
def test_the_ladder_has_the_parameters_that_it_is_named_for(name: str, millions: int, outputs: OutputSpec) -> None:
    head = heads.build(name, width=1280, outputs=outputs, seed=0)
    count = sum(parameter.numel() for parameter in head.parameters())
    assert count == pytest.approx(millions * 1e6, rel=0.01)


@pytest.mark.parametrize("budget", [1_000, 5_555, 70_000])
def test_no_other_width_comes_nearer_to_the_budget(budget: int) -> None:
    def parameters(hidden: int) -> int:
        sizes = [40, hidden, hidden, hidden, 7]
        return sum(before * after + after for before, after in itertools.pairwise(sizes))

    best = min(range(1, 300), key=lambda hidden: abs(parameters(hidden) - budget))
    assert hidden_width(budget, 40, 7) == best


def test_places_tell_tokens_apart_and_times_tell_steps_apart() -> None:
    batch = features((Grid(3, 4, 5),))
    assert torch.pdist(position_encoding(batch)[0, :20]).min() > 0.5
    assert torch.equal(position_encoding(batch)[0, :20], position_encoding(batch)[0, 20:40])
    steps = time_encoding(batch)[0].view(3, 20, -1)
    assert torch.pdist(steps[:, 0]).min() > 0.5
    assert torch.equal(steps, steps[:, :1].expand(-1, 20, -1))


def test_points_are_brought_onto_one_grid() -> None:
    """Merged tokens under 2×2 patches each, a readout under all of them, and the same grid under itself."""
    fine, coarse, one = Grid(1, 4, 4), Grid(1, 2, 2), Grid(1, 1, 1)
    assert nearest(fine, coarse).tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]
    assert nearest(coarse, fine).tolist() == [5, 7, 13, 15]
    assert nearest(fine, one).tolist() == [0] * 16
    assert nearest(Grid(2, 1, 2), Grid(2, 1, 2)).tolist() == [0, 1, 2, 3]
    first, other = features((fine,)), features((coarse,), width=3, seed=1)
    aligned = on_first_grid(replace(first, others=(other,)))
    assert torch.equal(aligned[0], first.tokens)
    assert torch.equal(aligned[1][0, 14], other.tokens[0, 3])


def test_weights_of_points_begin_equal_and_sum_to_one() -> None:
    head = heads.build("several-weighted", width=(6, 3, 4), outputs=OutputSpec(num_predictions=1, channels=2), seed=0)
    assert head.weights.tolist() == pytest.approx([1 / 3] * 3)


def test_where_a_thing_is_and_how_far_it_spreads() -> None:
    """A rectangle of 3 × 2 of 8 × 4 cells: its centre, and the deviation of evenly spread places, by hand."""
    head: Any = heads.build("spatial-softmax", width=1, outputs=OutputSpec(num_predictions=1, channels=4), seed=0)
    with torch.no_grad():
        head.maps.weight.fill_(50)
        head.maps.bias.zero_()
    batch = features((Grid(1, 4, 8),))
    inside = torch.zeros(1, 4, 8)
    inside[0, 1:3, 4:7] = 1
    seen = replace(batch, tokens=inside.view(1, 32, 1))
    with torch.no_grad():
        things = head.positions(seen).view(1, -1, 4)
    # Centres of columns 4, 5, 6 of 8 lie at 1/8, 3/8, 5/8 from -1 to 1, of rows 1, 2 of 4 at -1/4, 1/4.
    expected = torch.tensor([3 / 8, 0, (2 / 3) ** 0.5 / 4, 1 / 4])
    torch.testing.assert_close(things, expected.expand_as(things))


def test_padding_is_no_place() -> None:
    head = heads.build("spatial-softmax", width=6, outputs=OutputSpec(num_predictions=2, channels=3), seed=0)
    long, short = features((Grid(1, 4, 4), Grid(1, 2, 2))), features((Grid(1, 4, 4), Grid(1, 2, 2)))
    padded = replace(long, tokens=torch.where(long.mask[..., None], long.tokens, 7.0))
    with torch.no_grad():
        torch.testing.assert_close(head(padded).values, head(short).values)
