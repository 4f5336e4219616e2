"""What every adapter of the registry promises, and what tokens are left of a clip that is pruned."""

import numpy as np
import pytest
import torch
from torch import nn

from foresight_cache.errors import UsageError
from foresight_probes.adapters import networks
from foresight_probes.adapters.lattice import Lattice
from foresight_probes.adapters.networks.layers.base import Shape, TokenStream
from foresight_probes.adapters.networks.layers.streams import AttendedStream
from foresight_probes.adapters.pruning import keep_largest
from foresight_probes.features.standardization import Standardization
from tests.support import planted_adapters as planted

STREAMS = (
    TokenStream(5, Lattice.of_tokens(planted.FINE, planted.FRAMES)),
    TokenStream(7, Lattice.of_tokens(planted.COARSE, planted.FRAMES)),
)
LATENT = Lattice.of_latent(planted.LATENT, planted.FRAMES)


def shape(name: str, left_out: int | None = None) -> Shape:
    count = networks.load(name).points[0]
    return Shape(STREAMS[:count], LATENT, channels=3, left_out=left_out)


def tokens(of: Shape) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, own.lattice.grid.tokens, own.channels, generator=generator) for own in of.streams]


def built(of: Shape, name: str, seed: int = 0) -> nn.Module:
    """An adapter whose last weights are no longer zero."""
    adapter = networks.build(name, of, 16, seed)
    generator = torch.Generator().manual_seed(1)
    last: nn.Linear = adapter.readout.last  # type: ignore[assignment, union-attr]
    last.weight.data = torch.randn(last.weight.shape, generator=generator)
    return adapter


@pytest.mark.parametrize("name", networks.names())
def test_an_adapter_begins_with_the_mean_and_learns_with_all_of_its_weights(name: str) -> None:
    of = shape(name)
    at_first = networks.build(name, of, 16, seed=0)
    assert torch.equal(at_first(tokens(of)), torch.zeros(2, 8, 3))
    weights = [networks.build(name, of, 16, seed).state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert any(not torch.equal(weights[0][key], weights[2][key]) for key in weights[0])
    adapter = built(of, name)
    adapter(tokens(of)).square().sum().backward()
    without = [key for key, weight in adapter.named_parameters() if weight.grad is None or not weight.grad.any()]
    # A bias of keys adds the same to all logits of a query.
    assert [key for key in without if not key.endswith("key.bias")] == []


@pytest.mark.parametrize("name", networks.names())
def test_every_stream_is_read_unless_it_is_left_out(name: str) -> None:
    count = networks.load(name).points[0]
    for left_out in (None, *(range(count) if networks.load(name).leaves_out else ())):
        of = shape(name, left_out)
        adapter, before = built(of, name), tokens(of)
        for number in range(count):
            changed = [own + 1.0 * (place == number) * torch.randn(own.shape) for place, own in enumerate(before)]
            is_same = torch.equal(adapter(changed), adapter(before))
            assert is_same == (number == left_out)


def test_heads_look_around_their_own_place() -> None:
    """What is added to logits, from the distance of every pair of centres."""
    given, stream = STREAMS[0].lattice, AttendedStream(5, STREAMS[0].lattice, LATENT, 16)
    stream.slopes_H3.data = torch.rand(stream.slopes_H3.shape)
    unit = np.array([8, 1 / planted.LATENT.h, 1 / planted.LATENT.w])
    apart_QN3 = (given.centres()[None] - LATENT.centres()[:, None]) / unit
    for head in (0, 5):
        away = apart_QN3 - stream.offsets_H3[head].detach().numpy()
        slopes = torch.nn.functional.softplus(stream.slopes_H3[head]).detach().numpy()
        expected = -(away**2 * slopes).sum(2)
        np.testing.assert_allclose(stream._nearness()[head].detach().numpy(), expected, atol=1e-4)


def test_a_closed_gate_lets_nothing_through() -> None:
    of = shape("dual-stream")
    adapter, before = built(of, "dual-stream"), tokens(of)
    adapter.gates.openings_SD.data[1] = -1e4  # type: ignore[union-attr, operator]
    assert torch.equal(adapter([before[0], before[1] + 1]), adapter(before))


def test_the_largest_tokens_as_cached_stay() -> None:
    """Sizes are those before standardisation: the second token is the largest there and the smallest here."""
    fitted = Standardization(
        token_mean=torch.tensor([10.0]),
        token_scale=torch.tensor([2.0]),
        pooled_mean=torch.zeros(1),
        pooled_scale=torch.ones(1),
    )
    standardised = torch.tensor([[[-4.0], [0.5], [-3.0], [0.25]]])  # 2, 11, 4 and 10.5
    (kept,) = keep_largest(0.5, fitted)([standardised])
    assert kept.flatten().tolist() == [0, 0.5, 0, 0.25]
    (one,) = keep_largest(0.01, fitted)([standardised])
    assert one.flatten().tolist() == [0, 0.5, 0, 0]
    with pytest.raises(UsageError, match="share 0 of tokens is not possible"):
        keep_largest(0, fitted)
