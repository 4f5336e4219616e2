import numpy as np
import pytest
import torch

from foresight_cache.errors import FeatureError
from foresight_cache.extraction.feature_checks import DuplicateGuard, check_counts, check_extremes, extremes
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import PointLayout
from foresight_cache.samples import Grid, Sample

GOOD = torch.arange(12.0).reshape(4, 3)


def check_features(features: dict[str, list[torch.Tensor]], ids: list[str]) -> None:
    check_extremes({point: found.numpy() for point, (found,) in extremes(features).items()}, ids)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_ordinary_values_pass(dtype: torch.dtype) -> None:
    check_features({"vit.pre_merge": [GOOD.to(dtype), -GOOD.to(dtype)]}, ["a", "b"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_value_that_is_no_number_stops_the_job(value: float) -> None:
    spoilt = GOOD.clone()
    spoilt[2, 1] = value
    with pytest.raises(FeatureError, match=r"vit\.block_02 of sample coco/val/7 holds NaN or infinite values"):
        check_features({"vit.pre_merge": [GOOD, GOOD], "vit.block_02": [GOOD, spoilt]}, ["coco/val/1", "coco/val/7"])


@pytest.mark.parametrize("value", [0.0, -1.5])
def test_constant_features_stop_the_job(value: float) -> None:
    with pytest.raises(FeatureError, match=rf"llm\.embed of sample b is {value} everywhere"):
        check_features({"llm.embed": [GOOD, torch.full((4, 3), value)]}, ["a", "b"])


def test_a_picture_that_a_model_made_may_be_black() -> None:
    check_features({"vae.reconstruction": [torch.zeros(4, 3, dtype=torch.uint8)], "vae.latent": [GOOD]}, ["a"])


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, 28, 28, 3), dtype=np.uint8)


def features(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {point: generator.normal(size=(4, 3)).astype(np.float32) for point in ("vit.pre_merge", "llm.embed")}


def test_old_features_for_a_new_image_stop_the_job() -> None:
    guard = DuplicateGuard()
    guard.check("a", pixels(1), features(1))
    guard.check("b", pixels(2), features(2))
    with pytest.raises(FeatureError, match=r"llm\.embed of sample c is that of sample a, although their images differ"):
        guard.check("c", pixels(3), {**features(3), "llm.embed": features(1)["llm.embed"]})


def test_the_same_image_twice_may_have_the_same_features() -> None:
    guard = DuplicateGuard()
    guard.check("a", pixels(1), features(1))
    guard.check("b", pixels(1), features(1))


def row(name: str) -> SampleRow:
    record = Sample(
        id=name, dataset="d", split="train", group=name, media="image", file_name="a.png", width=4, height=6
    )
    grids = {"pixel": Grid(1, 6, 4), "patch": Grid(1, 3, 2), "merged": Grid(1, 2, 1)}
    return SampleRow(sample=record, status="ok", reason=None, grids=grids)


POINTS = {
    "vit.pre_merge": PointLayout.fixed("patch", "float32", 6, 3),
    "llm.embed": PointLayout.fixed("merged", "float32", 2, 3),
    "llm.embed@mean": PointLayout.fixed("pooled", "float32", 1, 3),
}


def found(point: str, *counts: int) -> dict[str, list[np.ndarray]]:
    return {point: [np.zeros((count, 3), np.float32) for count in counts]}


@pytest.mark.parametrize(("point", "expected"), [("vit.pre_merge", 6), ("llm.embed", 2), ("llm.embed@mean", 1)])
def test_each_sample_has_as_many_tokens_as_its_grid(point: str, expected: int) -> None:
    rows = [row("a"), row("b")]
    check_counts(found(point, expected, expected), POINTS, rows)
    for count in (expected + 1, expected - 1):
        with pytest.raises(FeatureError, match=rf"^{point} of sample b has {count} tokens, expected {expected}, those"):
            check_counts(found(point, expected, count), POINTS, rows)
    with pytest.raises(FeatureError, match=f"{point} has features of 1 samples, 2 were computed"):
        check_counts(found(point, expected), POINTS, rows)
