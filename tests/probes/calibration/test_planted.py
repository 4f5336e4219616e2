"""What planted caches hold, found again by least squares in numpy from the stored features alone."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from foresight_cache.annotations import check_annotations
from foresight_cache.reader import Cache
from foresight_probes.calibration.facts import Facts, facts_about
from foresight_probes.calibration.forms import FORMS
from foresight_probes.calibration.geometries import GEOMETRIES, OUTLIER_GAIN, SINK_SIZE
from foresight_probes.calibration.planted import PlantedCache, PlantedPoint
from foresight_probes.calibration.scenes import SIZE, WORLDS, Scene, World, draw, draw_scene
from foresight_probes.splits import side_of
from foresight_probes.tasks import TaskContext, load

SIZES = {"train": 120, "validation": 10, "test": 60}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    points = [f"objects.{form}" for form in FORMS] + ["nothing.linear", "places.linear"]
    return PlantedCache(world="several", rows=8, **SIZES).write(tmp_path_factory.mktemp("objects"), points)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    points = [f"answers.{form}" for form in FORMS] + ["nothing.linear", "places.linear"]
    return PlantedCache(world="several", rows=4, **SIZES).write(tmp_path_factory.mktemp("answers"), points)


def explained(inputs: np.ndarray, values: np.ndarray, train: int) -> float:
    """Mean R² over facts of the linear least squares of values on inputs, fitted to the first rows."""
    with_one = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    solution = np.linalg.lstsq(with_one[:train], values[:train], rcond=None)[0]
    wrong = np.square(with_one[train:] @ solution - values[train:]).sum(0)
    total = np.square(values[train:] - values[:train].mean(0)).sum(0)
    varying = total > 1e-9
    return float((1 - wrong[varying] / total[varying]).mean())


def features(cache: Cache, point: str) -> np.ndarray:
    return np.stack([cache[point][row] for row in range(len(cache))]).astype(float)


def facts_of(cache: Cache, subject: str, world: World = "several") -> Facts:
    drawn = [draw(world, 0, int(row["id"].rpartition("/")[2])) for row in cache.rows]
    return facts_about(subject, drawn, cache[f"{subject}.linear"].grid_of(0))  # type: ignore[arg-type]


def of_tokens(cache: Cache, point: str) -> tuple[np.ndarray, np.ndarray, int]:
    every = features(cache, point)
    return every.reshape(-1, every.shape[2]), *rows(facts_of(cache, "objects"))


def rows(facts: Facts) -> tuple[np.ndarray, int]:
    _, tokens, width = facts.values_BNF.shape
    return facts.values_BNF.reshape(-1, width), SIZES["train"] * tokens


def test_a_linear_map_of_each_token_reads_its_object(objects: Cache) -> None:
    assert explained(*of_tokens(objects, "objects.linear")) > 0.99


def test_a_linear_map_of_the_mean_reads_the_answers(answers: Cache) -> None:
    known = facts_of(answers, "answers").values_BNF[:, 0]
    assert explained(features(answers, "answers.linear").mean(1), known, SIZES["train"]) > 0.99


@pytest.mark.parametrize("point", ["objects.product", "objects.token_product", "nothing.linear"])
def test_no_linear_map_of_tokens_reads_what_a_sign_hides_or_what_is_not_there(objects: Cache, point: str) -> None:
    assert explained(*of_tokens(objects, point)) < 0.02


def test_no_linear_map_of_places_reads_more_than_where_objects_tend_to_be(objects: Cache) -> None:
    assert explained(*of_tokens(objects, "places.linear")) < 0.05


@pytest.mark.parametrize("point", ["answers.product", "nothing.linear", "places.linear"])
def test_no_linear_map_of_means_reads_hidden_or_absent_answers(answers: Cache, point: str) -> None:
    known = facts_of(answers, "answers").values_BNF[:, 0]
    assert explained(features(answers, point).mean(1)[:, :8], known, SIZES["train"]) < 0.05


@pytest.mark.parametrize("form", ["product", "token_product"])
def test_a_product_with_the_sign_reads_what_the_sign_hides(objects: Cache, form: str) -> None:
    """The sign stands in a direction of its own, found here by the only facts that are ±1 times what is known."""
    values, known, train = of_tokens(objects, f"objects.{form}")
    directions = np.linalg.svd(values[:train], full_matrices=False)[2][: known.shape[1] + 1]
    inner = values @ directions.T
    products = np.stack([inner[:, a] * inner[:, b] for a in range(inner.shape[1]) for b in range(a + 1)], axis=1)
    assert explained(products, known, train) > 0.97


def test_noise_has_the_stated_power_and_is_that_of_a_whole_object(objects: Cache) -> None:
    cache = PlantedCache(world="several", rows=8, **SIZES)
    numbers = cache.numbers("test")
    facts = cache.facts(PlantedPoint("objects"), cache.drawn(numbers))
    noise = cache.shaped(PlantedPoint("objects", "snr"), facts, numbers) - facts.values_BNF
    owners = facts.groups[0].shares_BN
    for group in facts.groups:
        own = noise[..., facts.columns(group.name)]
        assert own[owners > 0].std() == pytest.approx(group.noise, rel=0.15, abs=1e-9)
        for sample, owner in ((0, 1), (5, 1)):
            assert np.ptp(own[sample][owners[sample] == owner], axis=0).max() < 1e-12
    single = cache.shaped(PlantedPoint("objects", "token_snr"), facts, numbers) - facts.values_BNF
    assert single[..., 0].std() == pytest.approx(0.6 * facts.groups[0].noise, rel=0.05)


@pytest.mark.parametrize("geometry", [name for name in GEOMETRIES if name not in ("w1280", "w3584", "llm", "fine")])
def test_every_narrow_geometry_tells_the_same(tmp_path: Path, geometry: str) -> None:
    told = {}
    for name in ("base", geometry):
        cache = PlantedCache(world="several", rows=8, **SIZES).write(tmp_path / name, [f"objects.linear.{name}"])
        every = features(cache, f"objects.linear.{name}")
        facts = facts_about(
            "objects",
            [draw_scene("several", 0, int(row["id"][-6:])) for row in cache.rows],
            cache[f"objects.linear.{name}"].grid_of(0),
        )
        told[name] = explained(every.reshape(-1, every.shape[2]), *rows(facts))
    assert told[geometry] == pytest.approx(told["base"], abs=0.005)
    assert 0.9 < told["base"] < 0.99


def test_wide_geometries_tell_the_same_along_the_directions_of_the_facts(tmp_path: Path) -> None:
    from foresight_probes.calibration.geometries import frame

    cache = PlantedCache(world="pair", rows=4, **SIZES).write(
        tmp_path, ["relation.linear.w1280", "relation.linear.w3584"]
    )
    known = facts_about(
        "relation",
        [draw("pair", 0, int(row["id"][-6:])) for row in cache.rows],
        cache["relation.linear.w1280"].grid_of(0),
    ).values_BNF
    for name in ("w1280", "w3584"):
        directions = frame(4, GEOMETRIES[name].width, 0).facts_FD
        noise = features(cache, f"relation.linear.{name}") @ directions.T - known
        assert noise.std() == pytest.approx(
            GEOMETRIES[name].noise, rel=0.05
        )  # as much on each fact, whatever the width


def test_geometries_are_what_their_names_say(tmp_path: Path) -> None:
    names = ["base", "scaled", "outch", "sinks", "aniso"]
    cache = PlantedCache(world="several", rows=8, **SIZES).write(tmp_path, [f"objects.linear.{name}" for name in names])
    every = {name: features(cache, f"objects.linear.{name}") for name in names}
    spread = {name: values.reshape(-1, 96).std(0) for name, values in every.items()}
    assert every["scaled"].mean() == pytest.approx(300, rel=0.1)
    assert np.median(spread["scaled"] / spread["base"]) == pytest.approx(1000, rel=0.05)
    loudest = np.sort(spread["outch"])[::-1]
    assert loudest[3] / loudest[4] > OUTLIER_GAIN / 10
    assert loudest[4] < 2 * spread["base"].max()
    norms = np.linalg.norm(every["sinks"], axis=2)
    assert np.linalg.norm(every["base"], axis=2).max() < SINK_SIZE / 4
    assert 0.005 < (norms > SINK_SIZE / 2).mean() < 0.02
    spectrum = {name: np.linalg.svd(every[name].reshape(-1, 96), compute_uv=False) for name in ("base", "aniso")}
    assert spectrum["aniso"][31] / spectrum["aniso"][32] > 5  # 32 directions are loud


def test_a_finer_grid_has_four_times_the_tokens(tmp_path: Path) -> None:
    cache = PlantedCache(world="several", rows=16, **SIZES).write(tmp_path, ["objects.linear.fine"])
    assert cache["objects.linear.fine"].shape == (190, 256, 96)


@pytest.mark.parametrize("world", WORLDS)
def test_annotations_are_of_the_schema_and_tasks_have_answers(tmp_path: Path, world: World) -> None:
    cache = PlantedCache(world=world, rows=3 if world == "clip" else 4, **SIZES).write(tmp_path, ["nothing.linear"])
    for row in cache.rows:
        check_annotations(row["annotations"], width=SIZE, height=SIZE)
    asked: Mapping[World, tuple[str, ...]] = {
        "several": ("boxes", "counting", "hallucination", "detection", "patch-class"),
        "single": ("position",),
        "pair": ("relation",),
        "clip": ("direction", "speed", "action", "order", "next-frame"),
    }
    for name in asked[world]:
        task = load(name, TaskContext(samples=cache.rows, training=cache.rows))
        assert all(task.has_target(row) for row in cache.rows), name


def test_sides_are_as_many_as_asked_and_test_samples_are_the_same_for_any_number_that_train(tmp_path: Path) -> None:
    few, many = (PlantedCache(world="single", rows=4, train=count, validation=10, test=60) for count in (20, 120))
    assert few.numbers("test") == many.numbers("test")
    assert few.numbers("train") == many.numbers("train")[:20]
    caches = [cache.write(tmp_path, ["lists.linear"]) for cache in (few, many)]
    for cache, size in zip(caches, (20, 120), strict=True):
        sides = [side_of(row["group"], train_share=0.7, validation_share=0.15) for row in cache.rows]
        assert [sides.count(side) for side in ("train", "validation", "test")] == [size, 10, 60]
    tested = [np.stack([cache["lists.linear"][row] for row in range(-60, 0)]) for cache in caches]
    assert np.array_equal(*tested)


def test_a_cache_is_the_same_in_one_go_or_point_by_point_and_is_not_planted_twice(tmp_path: Path) -> None:
    cache, points = PlantedCache(world="single", rows=4, **SIZES), ["lists.linear", "lists.snr"]
    whole = cache.write(tmp_path / "whole", points)
    written: list[int] = []
    cache.write(tmp_path / "parts", points[:1])
    parts = cache.write(tmp_path / "parts", points, advance=lambda samples, _: written.append(samples))
    assert sum(written) == 190
    assert [commit.to_json() for commit in whole.commits] == [commit.to_json() for commit in parts.commits]
    cache.write(tmp_path / "parts", points, advance=lambda samples, _: written.append(samples))
    assert sum(written) == 190


def test_several_processes_plant_one_cache_and_each_sees_all_of_it(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from foresight_probes.calibration.planted import PlantedCache as C; "
        f"c = C(world='several', rows=4, train=400, validation=10, test=60).write(Path({str(tmp_path)!r}), "
        "['answers.snr.w1280']); print(len(c), c.complete)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in started] == ["470 True"] * 2


def test_another_seed_is_another_cache(tmp_path: Path) -> None:
    first, second = (PlantedCache(world="single", rows=4, seed=seed, **SIZES) for seed in (0, 1))
    assert first.place(tmp_path) != second.place(tmp_path)
    one, other = (cache.drawn([3])[0] for cache in (first, second))
    assert isinstance(one, Scene)
    assert isinstance(other, Scene)
    assert not np.array_equal(one.boxes, other.boxes)


def test_a_point_that_is_not_planted_is_refused() -> None:
    for name in ("objects", "objects.linear.round", "colours.linear", "objects.hidden"):
        with pytest.raises(ValueError, match=name):
            PlantedPoint.parse(name)
