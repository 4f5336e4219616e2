import pytest
import torch

from foresight_cache.errors import FeatureError
from foresight_cache.guards import check_features

GOOD = torch.arange(12.0).reshape(4, 3)


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
