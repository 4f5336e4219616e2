"""Sections about tokens: silhouettes against scikit-learn and similarities against numpy, from what zarr reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from foresight_cache.reader import Cache
from foresight_probes.statistics import silhouettes
from foresight_probes.statistics.interval import Interval
from foresight_probes.statistics.silhouettes import distances_of, silhouette
from foresight_probes.studies import embeddings, sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import Scatter, Table
from foresight_probes.studies.sampled_tokens import Places, choose_rows
from foresight_probes.studies.sections import token_plates
from foresight_probes.studies.study import SectionRequest
from tests.support import worlds
from tests.support.planted_study import STUDY


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return worlds.write_pictures(tmp_path_factory.mktemp("pictures") / "C", 60)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return worlds.write_clips(tmp_path_factory.mktemp("clips") / "C", 40)


def evidence(**caches: Cache) -> Evidence:
    return Evidence(study=parse_study(STUDY, "mine.yaml"), results={}, caches=caches)


def request(kind: str, dataset: str, *points: str, samples: int = 0) -> SectionRequest:
    return SectionRequest(kind=kind, title="T", datasets=(dataset,), points=points, samples=samples)


def bare(cache: Cache, point: str) -> np.ndarray:
    """float32 [S, N, D], by zarr alone; bfloat16 is its bits."""
    bits = np.asarray(cache.zarr[point][:])  # type: ignore[index]
    return (bits.astype(np.uint32) << 16).view(np.float32)


def cells(table: Table, point: str, sorting: str) -> tuple[object, ...]:
    (row,) = [row for row in table.rows if row[1:3] == (point, sorting)]
    return row


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_plates, "TOKENS", 300)
    monkeypatch.setattr(silhouettes, "RESAMPLES", 20)
    monkeypatch.setattr(silhouettes, "PERMUTATIONS", 4)


def test_silhouettes_are_those_of_scikit_learn(pictures: Cache) -> None:
    """Over all 60 pictures with 5 tokens each, whose classes are worked out here from the boxes."""
    table, *plates = sections.load("token-plates").parts(
        evidence(scenes=pictures), request("token-plates", "scenes", "vit.*", samples=300)
    )
    assert isinstance(table, Table)
    places = Places(pictures, choose_rows(pictures, 300), [worlds.INFORMATIVE], 5)
    tokens = places.read(worlds.INFORMATIVE)
    grid = worlds.PICTURE
    numbers = (tokens.rows_N * grid.h).astype(int) * grid.w + (tokens.columns_N * grid.w).astype(int)
    samples = [int(group.removeprefix("group-")) for group in tokens.groups]
    stored = bare(pictures, worlds.INFORMATIVE)
    features = np.stack([stored[sample, number] for sample, number in zip(samples, numbers, strict=True)])
    classes = []
    for sample, y, x in zip(samples, tokens.rows_N, tokens.columns_N, strict=True):
        boxes = worlds.fractions(worlds.picture_annotations(sample))
        inside = [name for name, (x0, y0, x1, y1) in boxes if x0 < x < x1 and y0 < y < y1]
        classes.append(inside[0] if inside else 0)
    assert len(set(zip(samples, numbers, strict=True))) == len(samples) == 300
    standard = StandardScaler().fit_transform(features.astype(np.float64))
    left, scales, _ = np.linalg.svd(standard - standard.mean(0), full_matrices=False)
    components = (left * scales)[:, : embeddings.COMPONENTS]
    found = cells(table, worlds.INFORMATIVE, "object or background")
    assert isinstance(found[3], Interval)
    assert found[3].value == pytest.approx(silhouette_score(components, np.array(classes) > 0), abs=1e-6)
    assert found[3].low < found[3].value < found[3].high
    assert found[5:] == (300, 2)
    is_object = np.array(classes) > 0
    of_classes = cells(table, worlds.INFORMATIVE, "category")
    assert isinstance(of_classes[3], Interval)
    expected = silhouette_score(components[is_object], np.array(classes)[is_object])
    assert of_classes[3].value == pytest.approx(expected, abs=1e-6)
    assert of_classes[5:] == (is_object.sum(), 3)
    assert isinstance(of_classes[4], Interval)
    assert of_classes[3].low > of_classes[4].high
    nothing = cells(table, worlds.EMPTY, "category")
    assert isinstance(nothing[3], Interval)
    assert nothing[3].value < 0.1
    assert [plate.title for plate in plates][:1] == [f"t-SNE of scenes, {worlds.INFORMATIVE}"]
    assert isinstance(plates[0], Scatter)
    assert [panel.title.split(" ")[0] for panel in plates[0].panels] == ["category", "height", "width"]
    assert plates[0].panels[0].names == ("background", "kind 1", "kind 2", "kind 3")


def test_frames_are_told_apart_where_they_are(clips: Cache) -> None:
    own = evidence(clips=clips)
    table, *plates = sections.load("token-plates").parts(
        own, request("token-plates", "clips", worlds.INFORMATIVE, samples=20)
    )
    assert isinstance(table, Table)
    found = cells(table, worlds.INFORMATIVE, "frame")
    assert isinstance(found[3], Interval)
    assert found[6] == worlds.CLIP.t
    assert cells(table, worlds.INFORMATIVE, "category")[3] == "not measured: no sample has boxes or dense labels"
    assert isinstance(plates[0], Scatter)
    assert [panel.title for panel in plates[0].panels][-1] == "time step"


def test_planes_are_the_same_each_time() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    features = generator.normal(size=(120, 20)) + np.eye(3)[labels] @ generator.normal(size=(3, 20)) * 4
    components = embeddings.principal_components(features)
    first, second = embeddings.tsne(components), embeddings.tsne(components)
    assert first.tobytes() == second.tobytes()
    assert silhouette_score(first, labels) > 0.5


@pytest.mark.slow
def test_intervals_of_silhouettes_hold_the_true_one() -> None:
    """Of 40 draws of 60 groups at least 34 hold what many have."""
    points, labels, _ = drawn(1000, 0)
    covered, true = 0, silhouette_score(points, labels)
    for seed in range(1, 41):
        points, labels, groups = drawn(60, seed)
        found = silhouette(distances_of(points), labels, groups, seed=seed)
        assert found is not None
        covered += found.interval.low <= true <= found.interval.high
    assert covered >= 34


def drawn(groups: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    labels = np.tile([0, 1, 2], groups)
    centres = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    of_group = np.repeat(generator.normal(size=(groups, 2)) * 0.5, 3, axis=0)
    points = centres[labels] + of_group + generator.normal(size=(len(labels), 2)) * 0.7
    return points, labels, [str(number) for number in np.repeat(np.arange(groups), 3)]


def test_similarities_are_those_of_numpy(pictures: Cache) -> None:
    (table,) = sections.load("neighbour-similarity").parts(
        evidence(scenes=pictures), request("neighbour-similarity", "scenes", worlds.INFORMATIVE, samples=12)
    )
    assert isinstance(table, Table)
    chosen = choose_rows(pictures, 12)
    stored = bare(pictures, worlds.INFORMATIVE)[chosen].astype(np.float64)
    for row, mean in zip(table.rows, (0.0, stored.mean((0, 1))), strict=True):
        tokens = stored - mean
        units = tokens / np.linalg.norm(tokens, axis=2, keepdims=True)
        cosines = units @ units.transpose(0, 2, 1)
        y, x = np.divmod(np.arange(64), 8)
        away = np.abs(y[:, None] - y), np.abs(x[:, None] - x)
        classes = np.stack([pixel_classes(sample) for sample in chosen])
        same = classes[:, :, None] == classes[:, None]
        near = away[0] + away[1] == 1
        half = ((away[0] == 4) & (away[1] == 0)) | ((away[1] == 4) & (away[0] == 0))
        others = units @ np.roll(units, -1, axis=0).transpose(0, 2, 1)
        expected = {
            "neighbours": cosines[:, near].mean(1),
            "half a side apart": cosines[:, half].mean(1),
            "any two": cosines[:, ~np.eye(64, dtype=bool)].mean(1),
            "other picture": others.diagonal(axis1=1, axis2=2).mean(1),
            "of one class": np.array([own[near & one].mean() for own, one in zip(cosines, same, strict=True)]),
            "of two classes": np.array([own[near & ~one].mean() for own, one in zip(cosines, same, strict=True)]),
        }
        found = dict(zip(table.columns, row, strict=True))
        for name, values in expected.items():
            interval = found[name]
            assert isinstance(interval, Interval)
            assert interval.value == pytest.approx(values.mean(), abs=1e-5), name
        difference = found["of one class less of two classes"]
        assert isinstance(difference, Interval)
        assert difference.value == pytest.approx(
            (expected["of one class"] - expected["of two classes"]).mean(), abs=1e-5
        )
        assert found["next frame"] == "not measured: no such pairs"


def pixel_classes(sample: int) -> np.ndarray:
    """Class of each cell of the grid by its centre, [64]."""
    classes = np.zeros((8, 8), int)
    centres = (np.arange(8) + 0.5) / 8
    for name, (x0, y0, x1, y1) in worlds.fractions(worlds.picture_annotations(sample)):
        classes[np.ix_((centres > y0) & (centres < y1), (centres > x0) & (centres < x1))] = name
    return classes.ravel()


def test_frames_that_follow_each_other(clips: Cache) -> None:
    (table,) = sections.load("neighbour-similarity").parts(
        evidence(clips=clips), request("neighbour-similarity", "clips", worlds.INFORMATIVE, samples=5)
    )
    assert isinstance(table, Table)
    tokens = bare(clips, worlds.INFORMATIVE)[choose_rows(clips, 5)].astype(np.float64).reshape(5, 4, 9, -1)
    units = tokens / np.linalg.norm(tokens, axis=3, keepdims=True)
    found = dict(zip(table.columns, table.rows[0], strict=True))["next frame"]
    assert isinstance(found, Interval)
    assert found.value == pytest.approx((units[:, 1:] * units[:, :-1]).sum(3).mean(), abs=1e-5)


@pytest.mark.parametrize("kind", ["token-plates", "neighbour-similarity"])
def test_what_is_not_there_is_said(kind: str, pictures: Cache, tmp_path: Path) -> None:
    study = parse_study(STUDY, "mine.yaml")
    wanted = {"plates": request(kind, "scenes", "vit.block_09"), "none": request(kind, "clips", "vit.*")}
    own = replace(evidence(scenes=pictures), study=replace(study, sections=wanted))
    assert [shown.reason for shown in sections.show_all(own)] == [
        "no cache of scenes was given that has vit.block_09",
        "no cache of clips was given that has vit.*",
    ]
