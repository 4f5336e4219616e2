"""The discriminant of tokens against scikit-learn's logistic regression, on Gaussians that touch and that do not."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from foresight_probes import tasks
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from foresight_probes.tasks import TaskContext
from foresight_probes.training.closed_forms import ClosedForms
from foresight_probes.training.discriminant import Discriminant
from foresight_probes.training.run_spec import RunSpec, build_heads
from foresight_probes.training.solver_data import SolverData
from tests.support.array_source import Arrays

CLASSES, WIDTH, TOKENS = 4, 24, 120
SPLIT = Split(train=tuple(range(40)), validation=tuple(range(40, 60)), test=tuple(range(60, 140)), digest="")
SHARES = (0.4, 0.3, 0.2, 0.1)


def gaussians(distance: float, *, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Tokens and classes of each sample: equal covariances, channels of different scale far from zero."""
    generator = np.random.default_rng(seed)
    centres = distance * generator.normal(size=(CLASSES, WIDTH)) / WIDTH**0.5
    mix = generator.normal(size=(WIDTH, WIDTH)) * 10.0 ** generator.uniform(-1, 2, WIDTH)
    classes = [generator.choice(CLASSES, TOKENS, p=SHARES) for _ in range(140)]
    return [(generator.normal(size=(TOKENS, WIDTH)) + centres[own]) @ mix + 5 for own in classes], classes


def solver_data(samples: list[np.ndarray], classes: list[np.ndarray]) -> SolverData:
    objects = [{"annotations": {"objects": [{"category_id": name} for name in range(1, CLASSES)]}}]
    task = tasks.load("patch-class", TaskContext(samples=objects))
    targets = {"patch-class": {row: torch.from_numpy(own) for row, own in enumerate(classes)}}
    features = FeatureData(Arrays(samples), SPLIT, targets, TrainingOptions())
    standardization, runs = features.standardization(), [RunSpec("patch-class", "token-linear", 0)]
    return SolverData(
        runs=runs,
        tasks={"patch-class": task},
        heads=build_heads(runs, {"patch-class": task}, standardization, features.grid),  # type: ignore[arg-type]
        solvers=["discriminant"],
        splits=[SPLIT],
        features=features,
        standardization=standardization,
    )


def together(parts: list[np.ndarray], side: str) -> np.ndarray:
    return np.concatenate([parts[row] for row in SPLIT.rows(side)])  # type: ignore[arg-type]


@pytest.mark.parametrize(("distance", "least", "most"), [(2.0, 0.5, 0.9), (4.0, 0.9, 0.99), (20.0, 1.0, 1.0)])
def test_it_is_as_right_and_as_sure_as_logistic_regression(distance: float, least: float, most: float) -> None:
    """Where of most tokens of one class nobody knows it, so that those that are known have a mean of their own."""
    samples, classes = gaussians(distance)
    generator = np.random.default_rng(1)
    classes = [np.where((own == 0) & (generator.random(TOKENS) < 0.8), -1, own) for own in classes]
    data = solver_data(samples, classes)
    (fitted,) = ClosedForms(data, TrainingOptions()).fit()
    standardise = data.standardization
    inputs = {side: together(samples, side) - standardise.token_mean.numpy() for side in ("train", "test")}
    truth = {side: together(classes, side) for side in inputs}
    inputs = {side: (own / standardise.token_scale.numpy())[truth[side] >= 0] for side, own in inputs.items()}
    truth = {side: own[own >= 0] for side, own in truth.items()}
    reference = LogisticRegression(max_iter=5000).fit(inputs["train"], truth["train"])
    with torch.no_grad():
        likely = fitted.head.linear(torch.from_numpy(inputs["test"]).float()).double().softmax(1).numpy()
    accuracy = float((likely.argmax(1) == truth["test"]).mean())
    assert least <= accuracy <= most
    assert abs(accuracy - reference.score(inputs["test"], truth["test"])) < 0.01
    assert data.task(0).metrics(fitted.test_scores.scores)["accuracy"] == pytest.approx(accuracy, abs=1e-9)
    expected = log_loss(truth["test"], reference.predict_proba(inputs["test"]))
    assert log_loss(truth["test"], likely) == pytest.approx(expected, abs=0.02)
    assert float(likely.max(1).mean()) == pytest.approx(accuracy, abs=0.02)


def test_without_a_difference_the_classes_shares_are_left() -> None:
    """Features that say nothing: each token is as likely of a class as any other."""
    samples, classes = gaussians(0.0)
    (solution, *_) = Discriminant().solve([0], solver_data(samples, classes), TrainingOptions(strengths=(1e6,)))[0]
    train = together(classes, "train")
    shares = np.bincount(train, minlength=CLASSES) / len(train)
    np.testing.assert_allclose(solution.bias.softmax(0).numpy(), shares, atol=0.01)


def test_one_token_of_which_a_class_is_known_is_enough_to_end() -> None:
    samples, classes = gaussians(2.0)
    unknown = [np.full(TOKENS, -1) for _ in classes]
    unknown[3][7] = 2
    for solution in Discriminant().solve([0], solver_data(samples, unknown), TrainingOptions())[0]:
        assert solution.weight.isfinite().all()
        assert solution.bias.isfinite().all()
