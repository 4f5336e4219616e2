"""What heads declare of the information that they read is what they can be seen to read."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from foresight_probes import heads
from foresight_probes.batches import Features, Information, OutputSpec
from tests.probes.test_registries import EVEN, WIDTH, features, stir


def with_tokens(batch: Features, tokens_BND: Tensor) -> Features:
    """The same samples with other tokens, and their means."""
    return replace(batch, tokens=tokens_BND, pooled=tokens_BND.mean(1))


def values(name: str, *batches: Features) -> list[Tensor]:
    """Predictions of one head in evaluation, for each token where it can, for batches of samples on one grid."""
    form = "per_token" if "per_token" in heads.load(name).predicts else "per_sample"
    outputs = OutputSpec(num_predictions=3, channels=2, predicts=(form,), grid=EVEN[0])
    several = heads.takes_several(name)
    head = heads.build(name, width=(WIDTH, 3) if several else WIDTH, outputs=outputs, seed=0).eval()
    stir(head)
    other = features(EVEN, width=3, seed=1)
    with torch.no_grad():
        return [head(replace(batch, others=(other,)) if several else batch).values for batch in batches]


@pytest.mark.parametrize("name", heads.names())
def test_every_head_declares_what_it_reads(name: str) -> None:
    information = heads.load(name).information
    assert sorted(information, key=get_args(Information).index) == list(information)
    assert information


@pytest.mark.parametrize("name", heads.names())
def test_places_matter_where_they_are_declared_and_nowhere_else(name: str) -> None:
    """Tokens of each time step are put in other cells."""
    batch = features(EVEN)
    steps = batch.tokens.unflatten(1, (2, 8))
    moved = with_tokens(batch, steps[:, :, torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])].flatten(1, 2))
    before, after = values(name, batch, moved)
    assert torch.allclose(before, after, atol=1e-5) != ("place" in heads.load(name).information)


@pytest.mark.parametrize("name", heads.names())
def test_only_the_mean_matters_to_heads_that_declare_it_alone(name: str) -> None:
    """Tokens change, and the mean over each time step does not."""
    batch = features(EVEN)
    change = torch.randn(3, 2, 8, WIDTH, generator=torch.Generator().manual_seed(2))
    changed = with_tokens(batch, batch.tokens + (change - change.mean(2, keepdim=True)).flatten(1, 2))
    before, after = values(name, batch, changed)
    assert torch.allclose(before, after, atol=1e-5) == (heads.load(name).information == ("mean",))


@pytest.mark.parametrize("name", heads.names())
def test_predictions_are_affine_where_it_is_declared_and_nowhere_else(name: str) -> None:
    first, second = features(EVEN), features(EVEN, seed=3)
    between = with_tokens(first, 0.3 * first.tokens + 0.7 * second.tokens)
    one, other, middle = values(name, first, second, between)
    assert torch.allclose(0.3 * one + 0.7 * other, middle, atol=1e-6) == heads.load(name).is_linear


def test_single_tokens_are_read_by_heads_that_declare_it() -> None:
    """A change of one token that the mean does not show is seen, or seen at its cell alone by heads of each token."""
    batch = features(EVEN)
    for name in heads.names():
        if "token" in heads.load(name).information:
            other = batch.tokens.clone()
            other[:, 5] += 2
            before, after = values(name, batch, replace(batch, tokens=other))
            assert not torch.allclose(before, after, atol=1e-4), name
