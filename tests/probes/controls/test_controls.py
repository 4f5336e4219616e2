"""What each control does to targets and features, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresight_cache.errors import ProbeError, UnknownName
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes import controls, tasks
from foresight_probes.controls import ControlContext
from foresight_probes.controls.control_labels import STEPS
from foresight_probes.controls.positions_only import sines
from foresight_probes.controls.shuffled import derangement
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import SIDES
from foresight_probes.sweeps.targets import load_targets
from tests.support import scenes, worlds

OPTIONS = TrainingOptions()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return worlds.write_pictures(tmp_path_factory.mktemp("pictures") / "cache", 64)


def context(cache: Cache, twin: Cache | None = None) -> ControlContext:
    return ControlContext(cache=cache, split=load_targets(cache, ["counting"], OPTIONS).split, twin=twin)


def test_names_are_found_without_the_mean_predictor() -> None:
    assert controls.names() == (
        *("control-labels", "label-shuffle", "pixels", "positions-only", "random-twin", "shuffled"),
    )
    with pytest.raises(UnknownName, match="unknown control 'shufled'; did you mean 'shuffled'"):
        controls.control_class("shufled")


def test_no_sample_keeps_its_own_target_and_none_leaves_its_side(cache: Cache) -> None:
    made = controls.load("shuffled", context(cache))
    data = load_targets(cache, ["counting"], OPTIONS)
    own = {row: torch.tensor(float(row)) for row in data.targets["counting"]}
    shuffled = made.targets(data.tasks["counting"], own)
    for side in SIDES:
        rows = set(data.split.rows(side))
        assert sorted(int(shuffled[row]) for row in rows) == sorted(rows)
        assert all(int(shuffled[row]) != row for row in rows)


def test_others_are_of_another_group() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        groups = {row: f"group {generator.integers(6)}" for row in range(30)}
        donors = derangement(groups)
        assert sorted(donors) == sorted(donors.values()) == list(range(30))
        assert all(groups[row] != groups[donor] for row, donor in donors.items())


def test_only_pictures_of_one_size_are_exchanged(tmp_path: Path) -> None:
    ragged = scenes.write(tmp_path / "cache", 90, ragged=True)
    data = load_targets(ragged, ["edges"], OPTIONS)
    own = data.targets["edges"]
    shuffled = controls.load("shuffled", context(ragged)).targets(data.tasks["edges"], own)
    assert len(shuffled) > 60
    assert all(shuffled[row].shape == own[row].shape for row in shuffled)
    assert sum(torch.equal(shuffled[row], own[row]) for row in shuffled) < 3


def test_positions_are_all_that_is_told(cache: Cache) -> None:
    """Each cell has features of its own, the same in every sample."""
    (source,) = controls.load("positions-only", context(cache)).sources("positions-only")
    out = np.zeros((2, 64, source.width), np.float32)
    for number, row in enumerate((0, 7)):
        source.read_into(row, out[number], check=True)
    assert np.array_equal(out[0], out[1])
    assert len(np.unique(out[0].round(4), axis=0)) == 64
    y, x = (np.arange(64) // 8 + 0.5) / 8, (np.arange(64) % 8 + 0.5) / 8
    told = np.linalg.lstsq(np.c_[out[0], np.ones(64)], np.c_[x, y], rcond=None)[0]
    assert np.c_[out[0], np.ones(64)] @ told == pytest.approx(np.c_[x, y], abs=0.05)


def test_positions_in_time_are_told_as_well() -> None:
    waves = sines(Grid(4, 2, 3))
    assert len(np.unique(waves.round(4), axis=0)) == 24


def test_a_twin_s_samples_are_found_by_their_ids(cache: Cache, tmp_path: Path) -> None:
    """Its cache may have them in another order, in other shards."""
    twin = scenes.write(tmp_path / "twin", 96, bad=(3,), tars="b", name="random:planted")
    with pytest.raises(ProbeError, match="lacks sample scenes/train/0003 of .*; extract it from the same shards"):
        controls.load("random-twin", context(cache, twin))
    whole = scenes.write(tmp_path / "whole", 100, tars="b", name="random:planted")
    whole.rows[5]["id"], whole.rows[7]["id"] = whole.rows[7]["id"], whole.rows[5]["id"]
    made = controls.load("random-twin", context(cache, whole))
    (source,) = made.sources("vit.block_01")
    out = np.zeros((64, source.width), source.dtype)
    source.read_into(5, out, check=True)
    assert np.array_equal(out, whole["vit.block_01"].stored(7))
    assert made.point_for("pixels") is None
    assert not controls.load("random-twin", context(cache)).fits(tasks.load("boxes"))


def test_what_is_no_twin_is_refused(cache: Cache, tmp_path: Path) -> None:
    trained = scenes.write(tmp_path / "trained", 96, weights="pretrained")
    with pytest.raises(ProbeError, match="has pretrained weights, expected random ones; extract it with"):
        controls.load("random-twin", context(cache, trained))
    with pytest.raises(ProbeError, match="has the fingerprint of .* itself"):
        controls.load("random-twin", context(cache, cache))
    other = scenes.write(tmp_path / "other", 96, **{"class": "Other"})
    with pytest.raises(ProbeError, match="is of a Other and .* of a None, expected the same architecture"):
        controls.load("random-twin", context(cache, other))
    ragged = scenes.write(tmp_path / "ragged", 96, ragged=True, name="random:planted")
    made = controls.load("random-twin", context(cache, ragged))
    with pytest.raises(ProbeError, match="sample scenes/train/0001 has a grid of .* tokens in the twin"):
        made.sources("vit.block_01")
    with pytest.raises(ProbeError, match="has no point llm.layer_01; extract it there too"):
        made.sources("llm.layer_01")


def test_labels_are_a_function_of_the_mean_colour(pictures: Cache) -> None:
    data = load_targets(pictures, ["counting"], OPTIONS)
    own = data.targets["counting"]
    labels = controls.load("control-labels", context(pictures)).targets(data.tasks["counting"], own)
    colours = {row: pictures["pixels"][row].mean(0) for row in own}
    train = np.array([colours[row] for row in data.split.train if row in own])
    bounds = np.quantile(train, [0.25, 0.5, 0.75], axis=0)
    by_type: dict[tuple[int, ...], set[float]] = {}
    for row in own:
        if np.abs(colours[row] - bounds).min() < 1e-3:
            continue  # which side it is on is a matter of rounding
        kind = tuple((colours[row] > bounds).sum(0))
        by_type.setdefault(kind, set()).add(float(labels[row]))
    assert len(by_type) > 5
    assert all(len(values) == 1 for values in by_type.values())
    assert len({float(labels[row]) for row in own}) > 1
    assert {float(labels[row]) for row in own} <= {float(value) for value in own.values()}
    rows = {row: torch.tensor(float(row)) for row in own}
    many = controls.load("control-labels", context(pictures)).targets(data.tasks["counting"], rows)
    assert len({float(many[row]) for row in rows}) > 2**3, "more than two steps of each colour are told apart"


def test_labels_of_tokens_are_those_of_their_own_colours(pictures: Cache) -> None:
    """Tokens of one colour have one label, wherever they are, and classes are as many as they were."""
    data = load_targets(pictures, ["patch-class"], OPTIONS)
    task = data.tasks["patch-class"]
    labels = controls.load("control-labels", context(pictures)).targets(task, data.targets["patch-class"])
    by_colour: dict[bytes, set[int]] = {}
    for row in data.split.test:
        pixels = pictures["pixels"][row].reshape(8, 4, 8, 4, 3)
        plain = (pixels == pixels[:, :1, :, :1]).all((1, 3, 4))
        for colour, label in zip(pixels[:, 0, :, 0][plain], labels[row][0][torch.from_numpy(plain)], strict=True):
            by_colour.setdefault(colour.tobytes(), set()).add(int(label))
    assert len(by_colour) == 4
    assert all(len(values) == 1 for values in by_colour.values())
    assert labels[0].shape == (1, 8, 8)
    assert max(int(labels[row].max()) for row in data.split.test) < task.outputs.channels
    assert STEPS**3 < 256  # types are kept in a byte each


def test_the_test_split_keeps_its_labels(cache: Cache) -> None:
    data = load_targets(cache, ["counting"], OPTIONS)
    own = {row: torch.tensor(float(row)) for row in data.targets["counting"]}
    made = controls.load("label-shuffle", context(cache))
    first, second = (made.targets(data.tasks["counting"], own, copy) for copy in (0, 1))
    assert all(int(first[row]) == row for row in data.split.test)
    for side in ("train", "validation"):
        rows = list(data.split.rows(side))
        assert sorted(int(first[row]) for row in rows) == sorted(rows)
        assert [int(first[row]) for row in rows] != rows != [int(second[row]) for row in rows]
    assert [int(first[row]) for row in data.split.train] != [int(second[row]) for row in data.split.train]


FITTING = {
    "boxes": {"pixels", "positions-only", "shuffled"},
    "counting": {"control-labels", "label-shuffle", "pixels", "positions-only", "shuffled"},
    "patch-class": {"control-labels", "pixels", "positions-only", "shuffled"},
    "order": {"pixels", "positions-only"},
    "next-frame": {"pixels"},
}
"""Controls that fit a task, of a cache with pixels and without a twin."""


@pytest.mark.parametrize("name", FITTING)
def test_controls_fit_where_they_say_something(name: str, cache: Cache) -> None:
    made = {control: controls.load(control, context(cache)) for control in controls.names()}
    assert {control for control, each in made.items() if each.fits(tasks.load(name))} == FITTING[name]
