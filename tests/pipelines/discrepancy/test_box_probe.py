"""The plain box probes: that they learn what is there, and that each thing that may be changed does what it says."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from foresight_probes.metrics.box_metrics import iou_and_giou
from pipelines.discrepancy.box_probe import BoxProbe, _matched

SAMPLES, WIDTH = 240, 12


def told(seed: int = 0) -> tuple[Tensor, list[Tensor]]:
    """Features that hold the logits of one box's corners, linearly mixed."""
    generator = torch.Generator().manual_seed(seed)
    low = 0.1 + 0.5 * torch.rand(SAMPLES, 2, generator=generator)
    boxes_B4 = torch.cat([low, low + 0.3], dim=1)
    mixing = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(9))
    return boxes_B4.logit() @ mixing, [box[None] for box in boxes_B4]


def mean_iou(probe: BoxProbe, *, seed: int = 0) -> float:
    features_BD, truth = told()
    others_BD, others = told(1)
    boxes_BP4 = probe.answer(probe.fit(features_BD, truth, seed=seed), others_BD)
    return float(iou_and_giou(boxes_BP4[:, 0], torch.cat(others))[0].mean())


def test_a_probe_learns_what_features_tell_and_a_blind_one_does_not() -> None:
    probe = BoxProbe(slots=1, epochs=150)
    assert mean_iou(probe) > 0.85
    assert mean_iou(replace(probe, sees=False)) < 0.3


def test_a_hidden_layer_learns_it_as_well() -> None:
    assert mean_iou(BoxProbe(slots=1, epochs=60, hidden=64)) > 0.75


def test_the_seed_decides_and_nothing_else_does() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = mean_iou(BoxProbe(epochs=2), seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert mean_iou(BoxProbe(epochs=2), seed=3) == first
    assert mean_iou(BoxProbe(epochs=2), seed=4) != first


@pytest.mark.parametrize("zeros", [True, False])
def test_slots_without_an_object_are_trained_towards_zero_or_not_at_all(zeros: bool) -> None:
    features_BD, truth = told()
    probe = BoxProbe(slots=3, zeros=zeros, epochs=100)
    boxes_BP4 = probe.answer(probe.fit(features_BD, truth, seed=0), features_BD)
    untrained_BP4 = probe.answer(replace(probe, epochs=0).fit(features_BD, truth, seed=0), features_BD)
    assert torch.equal(boxes_BP4[:, 1:], untrained_BP4[:, 1:]) != zeros
    assert (boxes_BP4[:, 1:].mean() < 0.1) == zeros


def test_sorted_slots_hold_objects_from_left_to_right() -> None:
    left, right = torch.tensor([0.1, 0.4, 0.2, 0.5]), torch.tensor([0.7, 0.4, 0.9, 0.5])
    truth = [torch.stack([left, right] if number % 2 else [right, left]) for number in range(64)]
    features_BD = torch.ones(64, WIDTH)
    for match, ends in {"sorted": (0.1, 0.7), "listed": (0.4, 0.4)}.items():
        probe = BoxProbe(slots=2, match=match, epochs=400)  # type: ignore[arg-type]
        boxes_BP4 = probe.answer(probe.fit(features_BD, truth, seed=0), features_BD)
        spread = (boxes_BP4[0, :, 0] - torch.tensor(ends)).abs().max()
        assert (spread < 0.05) == (match == "sorted")


def test_matching_is_the_cheapest_of_all_orders() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes_P4, truth_K4 = torch.rand(4, 4, generator=generator), torch.rand(3, 4, generator=generator)
    padded_P4 = torch.cat([truth_K4, torch.zeros(1, 4)])
    matched_P4 = _matched(boxes_P4[None], padded_P4[None], torch.tensor([3]))[0]
    present_P = matched_P4.any(-1)
    least = min(
        sum(float((boxes_P4[slot] - truth_K4[k]).abs().sum()) for k, slot in enumerate(slots))
        for slots in itertools.permutations(range(4), 3)
    )
    assert float((boxes_P4 - matched_P4).abs()[present_P].sum()) == pytest.approx(least, rel=1e-5)
    assert int(present_P.sum()) == 3
