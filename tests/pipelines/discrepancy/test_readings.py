"""Values, differences and shares with intervals, against cases that are worked by hand."""

import numpy as np
import pytest

from foresight_probes.metrics import coco_average_precision
from foresight_probes.metrics.coco_matching import image_scores
from foresight_probes.metrics.resamples import point_estimate
from foresight_probes.statistics.bootstrap import bootstrap
from pipelines.discrepancy.box_readings import (
    OF_MANY,
    OF_ONE,
    OF_TINY,
    PRODUCT_MANY,
    PRODUCT_ONE,
    PRODUCT_TINY,
)
from pipelines.discrepancy.picture_readings import FAULTS
from pipelines.discrepancy.planted_readings import OF_DETECTION, OF_WIDTH
from pipelines.discrepancy.readings import STATISTICS, Reading, difference_of, rows_of, value_of
from pipelines.discrepancy.steps import CHAINS, Chain, Step, shares_of

SCENES = 120


def reading(key: str, *shifts: float, names: str = "a", against: str = "") -> Reading:
    """Two objects a scene, with IoUs that depend on the scene and are shifted; a shift for each seed."""
    generator = np.random.default_rng(len(names))
    hardness = generator.uniform(0.2, 0.5, (SCENES, 2))
    return Reading(
        key=key,
        part="part",
        what=key,
        metric="mean_iou",
        scores=tuple([own + shift for own in hardness] for shift in shifts),
        groups=tuple(f"{names}{number}" for number in range(SCENES)),
        chance=0.1,
        against=against,
    )


def test_one_seed_has_the_interval_of_the_bootstrap() -> None:
    own = reading("one", 0.0)
    expected = bootstrap(own.scores[0], own.groups, STATISTICS["mean_iou"])["mean_iou"]
    assert value_of(own) == expected
    assert expected.value == pytest.approx(np.mean(own.scores[0]))


def test_seeds_that_differ_widen_the_interval() -> None:
    steady, shaky = value_of(reading("steady", 0.0, 0.0, 0.0)), value_of(reading("shaky", -0.1, 0.0, 0.1))
    assert steady.value == pytest.approx(shaky.value)
    assert shaky.high - shaky.low > 3 * (steady.high - steady.low)


def test_intervals_stay_within_the_range_of_the_metric() -> None:
    high = value_of(reading("high", 0.4, 0.5, 0.6))
    assert high.value < high.high == 1.0
    assert value_of(reading("low", -0.45, -0.35, -0.15)).low == 0.0


def test_what_makes_a_scene_hard_for_both_does_not_count() -> None:
    paired = difference_of(reading("high", 0.2), reading("low", 0.0))
    assert (paired.value, paired.low, paired.high) == pytest.approx((0.2, 0.2, 0.2))
    apart = difference_of(reading("high", 0.2, names="bb"), reading("low", 0.0))
    assert apart.high - apart.low > 0.02
    rows = rows_of([reading("low", 0.0), reading("high", 0.2, names="bb", against="low")])
    assert [row.paired for row in rows] == [False, False]
    assert rows[0].difference is None
    assert rows[1].difference == apart


def test_mean_iou_is_over_objects_and_not_over_scenes() -> None:
    assert point_estimate(STATISTICS["mean_iou"], [np.array([1.0]), np.array([0.0, 0.0, 0.2])]) == {"mean_iou": 0.3}


def test_map_is_that_of_the_product() -> None:
    generator = np.random.default_rng(0)
    scores = []
    for _ in range(30):
        truth = np.array([[10.0, 10, 50, 50], [60, 60, 90, 95]])
        boxes = truth + generator.normal(0, 6, truth.shape)
        scores.append(
            image_scores(
                boxes=boxes,
                classes=np.array([1, 2]),
                scores=generator.random(2),
                true_boxes=truth,
                true_classes=np.array([1, 2]),
                areas=(truth[:, 2:] - truth[:, :2]).prod(1),
                crowds=np.zeros(2, bool),
            )
        )
    counts_RS = np.random.default_rng(1).integers(0, 3, (5, 30))
    expected = coco_average_precision.summary(scores, counts_RS)["map_0.5"]
    assert STATISTICS["map_0.5"](scores, counts_RS)["map_0.5"] == pytest.approx(expected)
    assert 0 < expected.mean() < 1


def test_links_add_up_to_the_difference_and_lone_factors_do_not_count() -> None:
    steps = (
        Step(factor="x", before="first", after="middle"),
        Step(factor="y", before="middle", after="last"),
        Step(factor="z", before="first", after="last", is_link=False),
    )
    chain = Chain(question="why", first="first", last="last", steps=steps)
    readings = [reading("first", 0.0), reading("middle", 0.1), reading("last", 0.4)]
    shares = shares_of(readings, [chain])
    assert [share.share.value for share in shares] == pytest.approx([0.25, 0.75, 1.0])
    assert sum(share.difference.value for share in shares if share.is_link) == pytest.approx(0.4)
    assert shares_of(readings[:2], [chain]) == []


def test_every_chain_goes_without_a_gap_from_its_first_reading_to_its_last() -> None:
    for chain in CHAINS:
        links = [step for step in chain.steps if step.is_link]
        assert [step.before for step in links] == [chain.first, *(step.after for step in links[:-1])]
        assert links[-1].after == chain.last


def test_every_row_that_is_named_exists_and_has_a_name_of_its_own() -> None:
    parts = (OF_MANY, PRODUCT_MANY, OF_ONE, PRODUCT_ONE, OF_TINY, PRODUCT_TINY, OF_DETECTION, OF_WIDTH, FAULTS)
    listed = [own for part in parts for own in part]  # type: ignore[attr-defined]
    keys = [own.key for own in listed]
    assert len(set(keys)) == len(keys)
    assert {own.against for own in listed} - {""} <= set(keys)
    points = {"vit.block_09", "vit.patch_embed"}
    assert {key for chain in CHAINS for step in chain.steps for key in (step.before, step.after)} <= set(keys) | points
