"""Nearest neighbours against scikit-learn, and as runs: chosen on validation, kept, and read from their files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from foresight_cache.errors import ProbeError
from foresight_probes import heads
from foresight_probes.batches import Features, OutputSpec
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_source
from foresight_probes.heads.layers.neighbours import LEAST_SHARE, log_shares
from foresight_probes.options import TrainingOptions
from foresight_probes.results.checkpoints import load_checkpoint, to_bytes
from foresight_probes.results.result import Result
from foresight_probes.splits import resplit
from foresight_probes.sweeps.run import train
from foresight_probes.sweeps.targets import load_targets
from foresight_probes.training import nearest_neighbours
from foresight_probes.training.kept_head import load_head
from foresight_probes.training.nearest_neighbours import NeighbourBank, NeighbourSolution
from foresight_probes.training.ridge_regression import NormalEquations
from tests.support import scenes

OPTIONS = TrainingOptions(resamples=20, strengths=(0.1, 10.0, 1e3))
POINT = "vit.block_01"
CLASSES, WIDTH = 4, 10


def votes(distances: np.ndarray) -> np.ndarray:
    """DINOv2's weights of neighbours, from cosine distances."""
    return np.exp((1 - distances) / 0.07)


def reference(x: np.ndarray, y: np.ndarray, count: int) -> KNeighborsClassifier:
    return KNeighborsClassifier(count, weights=votes, metric="cosine", algorithm="brute").fit(x, y)


def drawn(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes, float32."""
    generator = np.random.default_rng(seed)
    classes = generator.integers(0, CLASSES, rows)
    centres = np.random.default_rng(9).normal(size=(CLASSES, WIDTH))
    return (centres[classes] + 1.5 * generator.normal(size=(rows, WIDTH))).astype(np.float32), classes


def pooled(x: np.ndarray) -> Features:
    tokens = torch.from_numpy(x)[:, None]
    return Features(tokens=tokens, pooled=tokens[:, 0], mask=tokens[..., 0] > -np.inf, cells=torch.zeros(len(x), 1, 4))


def made(x: np.ndarray, y: np.ndarray, count: int, channels: int = CLASSES) -> Any:
    """A head that keeps these rows."""
    head: Any = heads.build("knn", width=WIDTH, outputs=OutputSpec(num_predictions=1, channels=channels), seed=0)
    solution(x, y, count).keep(head)
    return head


def solution(x: np.ndarray, y: np.ndarray, count: int) -> NeighbourSolution:
    none = torch.zeros(0, WIDTH), torch.zeros(0)
    return NeighbourSolution(NeighbourBank.of("channels", *none, torch.from_numpy(x), torch.from_numpy(y)), count)


@pytest.mark.parametrize("count", [1, 5, 20, 200])
def test_votes_are_scikit_learn_s(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a bank that is compared in several pieces; its rows are in half precision, which scikit-learn is given too."""
    monkeypatch.setattr("foresight_probes.heads.layers.neighbours._PIECE", 70)
    (x, y), (asked, _) = drawn(300), drawn(250, seed=1)
    head = made(x, y, count)
    kept = head.neighbours.double().numpy()
    assert np.abs(kept - x / np.linalg.norm(x, axis=1, keepdims=True)).max() < 5e-4
    expected = reference(kept, y, count).predict_proba(asked)
    shares = head(pooled(asked)).values[:, 0].exp().numpy()
    np.testing.assert_allclose(shares, expected.clip(LEAST_SHARE), atol=1e-4)
    assert (shares.argmax(1) == reference(x, y, count).predict(asked)).mean() > 0.99


def test_a_solution_predicts_what_the_head_that_keeps_it_does() -> None:
    """For every number of neighbours, from one search."""
    (x, y), (asked, _) = drawn(300), drawn(50, seed=1)
    inputs_B1D, bank = torch.from_numpy(asked).double()[:, None], solution(x, y, 1).bank
    for count in (5, 200):
        head: Any = made(x, y, count)
        found = NeighbourSolution(bank, count).predict(head, inputs_B1D, pooled(asked)).values
        assert torch.equal(found, head(pooled(asked)).values)
    other: Any = made(x, y, 5)
    again = NeighbourSolution(bank, 5).predict(other, inputs_B1D.flip(0), pooled(asked)).values
    assert torch.equal(again, other(pooled(asked)).values.flip(0))


def test_a_class_without_training_samples_is_the_least_likely() -> None:
    (x, y), (asked, _) = drawn(100), drawn(20, seed=1)
    values = made(x, y, 100, channels=CLASSES + 2)(pooled(asked)).values[:, 0]
    assert values.isfinite().all()
    assert (values[:, CLASSES:] == np.float32(np.log(LEAST_SHARE))).all()
    assert (values[:, :CLASSES] > values[:, CLASSES:].max()).any(1).all()


def labelled(path: Path, count: int, unseen: Sequence[int] = ()) -> "scenes.Cache":
    """Scenes whose class is how many objects they have; another for these samples."""
    cache = scenes.write(path, count)
    for number, row in enumerate(cache.rows):
        kind = "unseen" if number in unseen else str(len(row["annotations"]["objects"]))
        row["annotations"] = {**row["annotations"], "class": {"name": kind}}
    return cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return labelled(tmp_path_factory.mktemp("scenes") / "cache", 200)


def trained(cache: "scenes.Cache", out: Path, **settings: Any) -> Result:
    chosen = {"tasks": ["classification"], "points": [POINT], "heads": ["knn"], "options": OPTIONS}
    (result,) = [own for own in train(cache, out=out, **chosen | settings) if own.head == "knn"]
    return result


def checkpoint(result: Result) -> Path:
    assert isinstance(result.scores_source, Path)
    return result.scores_source.with_suffix(".safetensors")


def standardised(cache: "scenes.Cache", seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Means over tokens with their classes by side of the split."""
    asked = load_targets(cache, ["classification"], OPTIONS)
    data = FeatureData(open_source(cache, POINT), asked.split, {}, OPTIONS)
    fitted, split = data.standardization(), resplit(asked.split, [row["group"] for row in cache.rows], seed)
    sides = {}
    for side in ("train", "validation", "test"):
        rows = [row for row in split.rows(side) if row in asked.targets["classification"]]
        classes = np.array([int(asked.targets["classification"][row]) for row in rows])
        sides[side] = (fitted(data.batch(rows).features).pooled.numpy(), classes)
    return sides


@pytest.mark.parametrize("seed", [0, 2])
def test_the_number_of_neighbours_is_the_best_on_validation(
    cache: "scenes.Cache", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """By brute force over all channels; the bank holds the training samples and no other."""
    banks = nearest_neighbours._banks
    monkeypatch.setattr(nearest_neighbours, "_banks", lambda *known: [next(banks(*known))])
    result, sides = trained(cache, tmp_path, seeds=[seed]), standardised(cache, seed)
    models = {count: reference(*sides["train"], count) for count in (5, 10, 20, 50, 100)}
    values = {count: model.score(*sides["validation"]) for count, model in models.items()}
    values[len(sides["train"][0])] = reference(*sides["train"], len(sides["train"][0])).score(*sides["validation"])
    best = max(values, key=lambda count: values[count])
    assert len(set(values.values())) > 1
    assert result.validation == {"value": values[best], "epoch": 1, "inputs": "channels", "neighbours": best}
    assert result.value.value == pytest.approx(models[best].score(*sides["test"]), abs=0.02)
    head, _ = load_head(checkpoint(result), result.identity)
    x, y = sides["train"]
    assert head.neighbours.shape == x.shape
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    distances = np.linalg.norm(head.neighbours.float().numpy()[:, None] - unit, axis=2)
    assert distances.min(1).max() < 2e-3
    assert sorted(distances.argmin(1)) == list(range(len(x)))
    assert (y[distances.argmin(1)] == head.classes.numpy()).all()


def only(inputs: str) -> Any:
    banks = nearest_neighbours._banks
    return lambda *known: [bank for bank in banks(*known) if bank.inputs == inputs]


@pytest.mark.parametrize("inputs", ["channels", "start", "leading-3"])
@torch.no_grad()
def test_a_head_comes_back_from_its_file(
    cache: "scenes.Cache", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: str
) -> None:
    """It predicts the same bits as before it was written, and what the run was scored by."""
    monkeypatch.setattr(nearest_neighbours, "DIRECTIONS", (3,))
    monkeypatch.setattr(nearest_neighbours, "_banks", only(inputs))
    result, (x, truth) = trained(cache, tmp_path), standardised(cache)["test"]
    assert result.validation["inputs"] == inputs
    assert ("strength" in result.validation) == (inputs == "start")
    head, standardization = load_head(checkpoint(result), result.identity)
    values = head(pooled(x)).values
    assert float((values[:, 0].argmax(1).numpy() == truth).mean()) == pytest.approx(result.value.value)
    again = tmp_path / "again.safetensors"
    recipe = load_checkpoint(checkpoint(result), result.identity).recipe
    again.write_bytes(to_bytes(head.state_dict(), standardization, result.identity, recipe))
    assert again.read_bytes() == checkpoint(result).read_bytes()
    assert torch.equal(load_head(again, result.identity)[0](pooled(x)).values, values)
    damaged = {name: own for name, own in head.state_dict().items() if name != "classes"}
    again.write_bytes(to_bytes(damaged, standardization, result.identity, recipe))
    with pytest.raises(ProbeError, match="does not tell how its head is made .*classes"):
        load_head(again, result.identity)


def test_a_class_that_no_training_sample_has(tmp_path: Path) -> None:
    asked = load_targets(labelled(tmp_path / "drawn", 120), ["classification"], OPTIONS).split
    result = trained(labelled(tmp_path / "cache", 120, asked.test[:3]), tmp_path / "runs")
    head, _ = load_head(checkpoint(result), result.identity)
    assert head.outputs.channels == 4
    assert set(head.classes.tolist()) == {0, 1, 2}


def test_directions_that_tell_nothing_do_not_hide_the_class() -> None:
    """They own all cosines of standardised channels, and not those of the closed form's values."""
    (x, y), (asked, truth) = drawn(300), drawn(100, seed=1)
    mix = np.linalg.qr(np.random.default_rng(2).normal(size=(WIDTH + 4, WIDTH + 4)))[0]
    features = []
    for number, own in enumerate((x, asked)):
        noise = np.random.default_rng([3, number]).normal(size=(len(own), 4)) * 50
        features.append((np.concatenate([own, noise], axis=1) @ mix).astype(np.float32))
    known, new = (own / features[0].std(0) for own in features)
    equations = NormalEquations(1)
    rows, one_hot = torch.from_numpy(known).double(), torch.from_numpy(np.eye(CLASSES)[y])
    equations.add(rows, torch.ones(len(rows), 1, dtype=torch.bool), [one_hot])
    banks = nearest_neighbours._banks(torch.from_numpy(known), torch.from_numpy(y), equations.solve([1.0])[0][0])
    shares = {}
    for bank in banks:
        similarities, classes = bank.nearest(torch.from_numpy(new)[:, None])
        found = log_shares(similarities[:, :20], classes[:, :20], CLASSES).argmax(1)
        shares[bank.inputs] = float((found.numpy() == truth).mean())
    plain = reference(x, y, 20).score(asked, truth)
    assert shares.keys() == {"channels", "start"}
    assert shares["channels"] < 0.45 < plain - 0.05 < shares["start"]
