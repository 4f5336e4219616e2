"""The published protocol against a plain loop of torch's own layers, and what it does not do."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split
from torch import nn

from foresight_cache.errors import ProbeError
from foresight_probes.hallucination.divisions import divide_groups
from foresight_probes.hallucination.halp_protocol import Recipe, halp_protocol, train_network, trained_detection
from tests.support.planted_questions import planted

WIDTH, COUNT = 10, 170


def vectors(count: int = COUNT, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels_N = generator.integers(2, size=count)
    inputs_ND = 5 * generator.normal(size=(count, WIDTH)) + 3 + labels_N[:, None]
    return inputs_ND.astype(np.float32), labels_N


def plain_loop(inputs_ND: np.ndarray, labels_N: np.ndarray, *, epochs: int, seed: int) -> np.ndarray:
    """Probabilities of the test questions by a Sequential of torch's layers, as one would write it down from the paper.

    Weights, then a seed of the dropout, are drawn after `manual_seed`; batches from a generator of their own.
    """
    train, test = train_test_split(range(len(labels_N)), test_size=0.2, random_state=42, stratify=labels_N)
    train, test = sorted(train), sorted(test)
    torch.manual_seed(seed)
    last = nn.Linear(128, 1)
    layers: list[nn.Module] = []
    for before, after in ((WIDTH, 512), (512, 256), (256, 128)):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.BatchNorm1d(after), nn.Dropout(0.3)]
    model = nn.Sequential(*layers, last, nn.Sigmoid())
    torch.manual_seed(int(torch.randint(2**62, ())))
    inputs, truth = torch.tensor(inputs_ND[train]), torch.tensor(labels_N[train], dtype=torch.float32)
    optimiser, order = torch.optim.Adam(model.parameters(), lr=0.001), torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        model.train()
        shuffled = torch.randperm(len(train), generator=order)
        for start in range(0, len(train), 32):
            rows = shuffled[start : start + 32]
            loss = nn.BCELoss()(model(inputs[rows])[:, 0], truth[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.eval()
    with torch.no_grad():
        found: np.ndarray = model(torch.tensor(inputs_ND[test]))[:, 0].numpy()
    return found


def test_probabilities_are_those_of_a_plain_loop() -> None:
    inputs_ND, labels_N = vectors()
    state = torch.random.get_rng_state()
    found = halp_protocol(inputs_ND, labels_N, recipe=Recipe(epochs=8, seed=5))
    assert torch.equal(state, torch.random.get_rng_state())
    expected = plain_loop(inputs_ND, labels_N, epochs=8, seed=5)
    torch.random.set_rng_state(state)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    assert found.epoch == 8
    other = halp_protocol(inputs_ND, labels_N, recipe=Recipe(epochs=8, seed=6))
    assert not np.allclose(other.probabilities, expected, atol=1e-3)


def test_defaults_are_those_of_the_paper() -> None:
    own = Recipe()
    assert (own.epochs, own.batch_size, own.learning_rate) == (50, 32, 0.001)
    inputs_ND, labels_N = vectors()
    found = halp_protocol(inputs_ND, labels_N, recipe=Recipe(epochs=1))
    assert len(found.division.test) == COUNT // 5
    assert found.division.test.tolist() == sorted(
        train_test_split(range(COUNT), test_size=0.2, random_state=42, stratify=labels_N)[1]
    )
    assert labels_N[found.division.test].mean() == pytest.approx(labels_N.mean(), abs=0.02)


def test_questions_about_one_image_are_on_both_sides_by_question_and_on_one_by_image() -> None:
    inputs_ND, questions = planted(0, images=60)
    by_question = halp_protocol(inputs_ND, questions.labels_N, recipe=Recipe(epochs=1)).division
    by_image = divide_groups(questions.labels_N, questions.images)
    shared = [
        {questions.images[row] for row in division.train} & {questions.images[row] for row in division.test}
        for division in (by_question, by_image)
    ]
    assert len(shared[0]) > 30
    assert not shared[1]
    assert len(by_image.test) == pytest.approx(72, abs=8)
    assert questions.labels_N[by_image.test].mean() == pytest.approx(questions.labels_N.mean(), abs=0.05)


def test_a_last_batch_of_a_single_sample_is_learned_from() -> None:
    """Torch's normalisation refuses it; here its running means and variances stand in."""
    inputs_ND, labels_N = vectors(65)
    network, epoch = train_network(inputs_ND, labels_N, recipe=Recipe(epochs=2))
    assert epoch == 2
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())


def test_the_epoch_is_chosen_on_the_validation_rows() -> None:
    """Its AUROC there is the best of all, and the weights are those that as many epochs alone lead to."""
    inputs_ND, labels_N = vectors(240)
    division = divide_groups(labels_N, list(map(str, range(240))))
    validation = division.train[::4]
    chosen = trained_detection(inputs_ND, labels_N, division, recipe=Recipe(epochs=12), validation=validation)
    assert chosen.epoch is not None
    learned = np.setdiff1d(division.train, validation)
    network, _ = train_network(inputs_ND[learned], labels_N[learned], recipe=Recipe(epochs=chosen.epoch))
    with torch.no_grad():
        expected = torch.sigmoid(network(torch.tensor(inputs_ND[division.test]))[:, 0]).numpy()
    np.testing.assert_allclose(chosen.probabilities, expected, atol=1e-6)
    assert chosen.epoch < 12


def test_what_nothing_can_be_learned_from() -> None:
    inputs_ND, labels_N = vectors(40)
    with pytest.raises(ProbeError, match="has 0 hallucinated answers of 40, expected some of both kinds; judge more"):
        halp_protocol(inputs_ND, np.zeros(40))
    with pytest.raises(ProbeError, match=r"vectors of shape \[39, 10\] were given for 40 labels"):
        halp_protocol(inputs_ND[:39], labels_N)
    inputs_ND[3, 4] = np.nan
    with pytest.raises(ProbeError, match="a number that is not finite"):
        halp_protocol(inputs_ND, labels_N)
    with pytest.raises(ProbeError, match="are too few to hold out a share of 0.2 with answers of both kinds"):
        divide_groups(np.array([0, 1, 0, 1, 0, 0]), list("aabbcc"))
