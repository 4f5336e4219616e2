"""Data curves: portions that grow, and an online code that is what the heads' probabilities say."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from foresight_cache.errors import UsageError
from foresight_probes.options import TrainingOptions
from foresight_probes.statistics.description_length import online_code
from foresight_probes.sweeps.data_curve import DataCurve, data_curves, portions
from foresight_probes.sweeps.sweep import Sweep
from tests.support import scenes

INFORMED, EMPTY = "vit.block_01", "vit.block_02"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    """An action is asked for that is 1 where boxes cover more than elsewhere, which the first point tells."""
    cache = scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 160)
    covered = [np.prod(scenes.boxes(row)[:, 2:] - scenes.boxes(row)[:, :2], axis=1).sum() for row in range(160)]
    for row, area in zip(cache.rows, covered, strict=True):
        row["annotations"]["action"] = {"class_id": int(area > np.median(covered))}
    return cache


def sweep(**options: int) -> Sweep:
    return Sweep(
        tasks=("action",),
        points=(INFORMED, EMPTY),
        heads=("logistic",),
        options=TrainingOptions(resamples=200, **options),
    )


@pytest.fixture(scope="module")
def curves(cache: "scenes.Cache", tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataCurve]:
    plans = portions(cache, sweep(), tmp_path_factory.mktemp("curves"), halvings=6)["action"]
    return {curve.results[-1].point: curve for curve in data_curves(plans)}


def test_portions_grow_and_lie_in_each_other(cache: "scenes.Cache", tmp_path: Path) -> None:
    plans = portions(cache, sweep(), tmp_path, halvings=6)["action"]
    sizes = [len(plan.split.train) for plan in plans]
    assert sizes[0] >= 8  # groups of one sample
    for smaller, larger in pairwise(plans):
        assert set(smaller.split.train) < set(larger.split.train)
        assert set(smaller.split.validation) <= set(larger.split.validation)
        assert len(larger.split.train) == pytest.approx(2 * len(smaller.split.train), abs=1)
        assert smaller.split.test == larger.split.test
    assert list(tmp_path.iterdir()) == []


def test_a_point_that_tells_needs_fewer_bits_than_one_that_does_not(curves: dict[str, DataCurve]) -> None:
    informed, empty = (curves[point].code for point in (INFORMED, EMPTY))
    assert informed is not None
    assert empty is not None
    assert informed.compression.low > empty.compression.high
    assert empty.compression.value < 1.2
    assert informed.samples == sum(curves[INFORMED].results[-1].split[side] for side in ("train", "validation"))
    values = [result.value.value for result in curves[INFORMED].results]
    assert values[-1] > 0.9 > values[0]


def test_the_last_block_is_coded_as_scikit_learn_would(
    cache: "scenes.Cache", curves: dict[str, DataCurve], tmp_path: Path
) -> None:
    """With two portions of the samples: a bit for each of the first, and its own log-loss for each of the second."""
    plans = portions(cache, sweep(), tmp_path, halvings=1)["action"]
    (curve,) = (own for own in data_curves(plans) if own.results[-1].point == INFORMED)
    half, whole = ([*plan.split.train, *plan.split.validation] for plan in plans)
    means = np.stack([cache[INFORMED][row].astype(np.float64).mean(0) for row in range(len(cache.rows))])
    classes = np.array([row["annotations"]["action"]["class_id"] for row in cache.rows])
    fitted = list(plans[0].split.train)
    inputs = (means - means[fitted].mean(0)) / means[fitted].std(0)
    found = curve.results[0].validation
    model = LogisticRegression(C=2 / found["strength"], tol=1e-10, max_iter=10_000)
    model.fit(inputs[fitted], classes[fitted])
    block = sorted(set(whole) - set(half))
    likelihood = model.predict_proba(inputs[block])[np.arange(len(block)), classes[block]]
    expected = (len(half) - np.log2(likelihood).sum()) / len(whole)
    assert curve.code is not None
    assert curve.code.bits.value == pytest.approx(expected, rel=1e-4)


def test_a_code_by_hand() -> None:
    """Of four classes, uniform code takes two bits; 1.5 on the average here."""
    code = online_code([2.0, 2.0, 1.0, 1.0], ["a", "b", "c", "d"], classes=4)
    assert code.bits.value == 1.5
    assert code.compression.value == pytest.approx(4 / 3)
    assert code.compression.low < 4 / 3 < code.compression.high


def test_folds_have_no_curve(cache: "scenes.Cache", tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected neither folds nor refits"):
        portions(cache, sweep(folds=3), tmp_path, halvings=2)
