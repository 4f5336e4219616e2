"""Sections that train no probe: their tables against numpy and against what was planted into caches."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid, Sample
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import connector_tokens, sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import Lines, Part, Pictures, Table
from foresight_probes.studies.sampled_tokens import choose_rows
from foresight_probes.studies.study import SectionRequest
from foresight_probes.training_free import token_spectra as spectra
from tests.support import worlds
from tests.support.planted_study import STUDY

FIRST, SECOND = worlds.INFORMATIVE, worlds.EMPTY


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return worlds.write_pictures(tmp_path_factory.mktemp("pictures") / "C", 60, dense=True)


def shown(kind: str, cache: Cache, *points: str, **fields: object) -> list[Part]:
    evidence = Evidence(study=parse_study(STUDY, "mine.yaml"), results={}, caches={"images": cache})
    request = SectionRequest(kind=kind, title="T", datasets=("images",), points=points, **fields)  # type: ignore[arg-type]
    return sections.load(kind).parts(evidence, request)


def tables(parts: list[Part]) -> list[list[dict[str, object]]]:
    found = [part for part in parts if isinstance(part, Table)]
    return [[dict(zip(part.columns, row, strict=True)) for row in part.values] for part in found]


def value(cell: object) -> float:
    assert isinstance(cell, Interval), cell
    assert cell.low <= cell.value <= cell.high
    return cell.value


def bare(cache: Cache, point: str) -> np.ndarray:
    """float32 [S, N, D], by zarr alone; bfloat16 is its bits."""
    bits = np.asarray(cache.zarr[point][:])  # type: ignore[index]
    return (bits.astype(np.uint32) << 16).view(np.float32)


def test_curves_are_means_over_samples(pictures: Cache) -> None:
    parts = shown("depth-curves", pictures, FIRST, SECOND, samples=20)
    ((first, second),) = tables(parts)
    rows = choose_rows(pictures, 20)
    tokens = bare(pictures, FIRST)[rows]
    assert value(first["median norm"]) == pytest.approx(np.median(np.linalg.norm(tokens, axis=2), axis=1).mean())
    expected = np.mean([spectra.effective_rank(sample) for sample in tokens])
    assert value(first["effective rank of a sample"]) == pytest.approx(expected)
    pooled = tokens[:, evenly_of(64, 1024 // 20)].reshape(-1, tokens.shape[2])
    assert first["effective rank of all"] == pytest.approx(spectra.effective_rank(pooled))
    assert value(first["curvature"]) == pytest.approx(np.mean([spectra.curvature(sample) for sample in tokens]))
    assert str(first["cosine to the point before"]).startswith("not measured")
    assert str(second["turn"]).startswith("not measured")
    assert {part.title for part in parts if isinstance(part, Lines)} >= {"median norm", "curvature", "outliers"}


def evenly_of(count: int, most: int) -> list[int]:
    return [number * count // min(most, count) for number in range(min(most, count))]


def stacked(root: Path) -> Cache:
    """Three points of equal width, the third of which turns by a right angle from what the second added."""

    def made(index: int) -> tuple[Sample, dict[str, np.ndarray]]:
        start = worlds.random(index, 31).normal(size=(64, 4))
        one, other = np.tile([8.0, 0, 0, 0], (64, 1)), np.tile([0, 4.0, 0, 0], (64, 1))
        points = {"vit.block_01": start, "vit.block_02": start + one, "vit.block_03": start + one + other}
        arrays = {name: value.astype(ml_dtypes.bfloat16) for name, value in points.items()}
        return worlds.sample(index, {}, "image"), arrays

    return worlds.write(root, 8, worlds.PICTURE, made)


def test_turns_between_points(tmp_path: Path) -> None:
    cache = stacked(tmp_path / "C")
    ((first, second, third),) = tables(shown("depth-curves", cache, "vit.*"))
    assert value(third["turn"]) == pytest.approx(90, abs=0.5)
    tokens = [bare(cache, f"vit.block_0{number}").astype(float) for number in (1, 2, 3)]
    cosines = [
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for a, b in zip(tokens[0].reshape(-1, 4), tokens[1].reshape(-1, 4), strict=True)
    ]
    assert value(second["cosine to the point before"]) == pytest.approx(np.mean(cosines))
    assert str(first["turn"]).startswith("not measured")


def connected(root: Path) -> Cache:
    """48 pictures of 8×8 tokens; a point after has means of half of their channels, and another one is unrelated."""

    def made(index: int) -> tuple[Sample, dict[str, np.ndarray]]:
        draw = worlds.random(index, 41)
        before = draw.normal(size=(64, 6)) + draw.normal(size=6)
        after = np.concatenate([before[:, :3] @ np.diag([1.0, 2, 3]), 0.01 * draw.normal(size=(64, 1))], axis=1)
        arrays = {"vit.block_01": before, "vit.post_merge": after, "llm.layer_01": draw.normal(size=(64, 5))}
        found = {name: own.astype(ml_dtypes.bfloat16) for name, own in arrays.items()}
        return worlds.sample(index, {}, "image"), found | {"pixels": np.zeros((1024, 3), np.uint8)}

    return worlds.write(root, 48, worlds.PICTURE, made)


def test_what_a_connector_keeps_and_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector_tokens, "COMPARED", 192)
    cache = connected(tmp_path / "C")
    parts = shown("connector-loss", cache, "vit.block_01", against=("vit.post_merge", "llm.layer_01"))
    neighbours, told = tables(parts)
    kept, unrelated = told
    assert value(kept["R²"]) == pytest.approx(0.5, abs=0.03), "three of six channels"
    assert abs(value(unrelated["R²"])) < 0.05
    assert value(kept["gain"]) == pytest.approx(value(kept["R²"]) - value(kept["R² from the place"]))
    of_kept = [row for row in neighbours if row["after"] == "vit.post_merge" and row["k"] == 10]
    assert {row["of"] for row in of_kept} == {"pictures", "tokens"}
    for row in of_kept:
        assert row["p"] == 1 / 200
        assert value(row["common neighbours"]) > float(str(row["95 % by chance"])) > float(str(row["by chance"]))
    (noise,) = [
        row for row in neighbours if row["after"] == "llm.layer_01" and row["of"] == "tokens" and row["k"] == 10
    ]
    assert value(noise["common neighbours"]) == pytest.approx(float(str(noise["by chance"])), abs=0.02)
    assert [part.title for part in parts if isinstance(part, Pictures)] == [
        "Errors of vit.block_01 told from vit.post_merge",
        "Errors of vit.block_01 told from llm.layer_01",
    ]


def clips(root: Path, *, labelled: bool = True) -> Cache:
    """Six clips of six steps, two frames each: a square of its own tokens at one point, none at the other."""

    def made(index: int) -> tuple[Sample, dict[str, np.ndarray]]:
        draw = worlds.random(index, 51)
        cells = np.zeros((6, 8, 10), int)
        for step in range(6):
            cells[step, 2:5, 1 + step : 4 + step] = 1
        ground, thing = draw.normal(size=(2, 12))
        tokens = np.where(cells[..., None] == 1, thing, ground) + 0.1 * draw.normal(size=(6, 8, 10, 12))
        labels = cells.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
        said = {"labels": {"classes": ["background", "object 1"], "ignore": None}} if labelled else {}
        arrays = {
            FIRST: tokens.reshape(-1, 12).astype(ml_dtypes.bfloat16),
            SECOND: draw.normal(size=(480, 12)).astype(ml_dtypes.bfloat16),
            "labels": labels.reshape(-1, 1),
            "pixels": np.repeat(80 * labels.reshape(-1, 1), 3, axis=1),
        }
        return worlds.sample(index, said, "clip"), arrays

    return worlds.write(root, 6, Grid(6, 8, 10), made)


def test_masks_that_are_passed_on(tmp_path: Path) -> None:
    parts = shown("propagation", clips(tmp_path / "C"), FIRST, SECOND)
    ((tells, noise),) = tables(parts)
    assert (tells["clips"], tells["objects"]) == (6, 6)
    assert value(tells["J of tokens"]) == 1
    assert value(tells["J&F"]) > 0.85
    assert value(tells["J"]) > 0.85
    assert value(noise["J&F"]) < 0.5
    assert tells["J&F of the first mask"] == noise["J&F of the first mask"]
    assert value(tells["gain"]) == pytest.approx(value(tells["J&F"]) - value(tells["J&F of the first mask"]))
    (drawn,) = [part for part in parts if isinstance(part, Pictures)]
    assert len(drawn.rows) == 3


def test_clips_without_masks_are_said(tmp_path: Path, pictures: Cache) -> None:
    for cache in (clips(tmp_path / "C", labelled=False), pictures):
        with pytest.raises(ProbeError, match="no clip whose first frame has masks of objects"):
            shown("propagation", cache, FIRST)


def test_few_pictures_vote_for_classes(pictures: Cache) -> None:
    (rows,) = tables(shown("knn-segmentation", pictures, FIRST, SECOND, values=(1.0, 16.0)))
    few, many, noise_few, noise = rows
    assert [row["pictures"] for row in rows] == [1, 16, 1, 16]
    assert value(many["mIoU"]) > 0.9
    assert value(few["mIoU"]) < value(many["mIoU"])
    assert value(noise["mIoU"]) < 0.4
    assert value(many["mIoU from the place"]) == value(noise["mIoU from the place"]) < 0.5
    assert many["tokens"] == 16 * 64
    assert noise_few["classes"] == few["classes"]


def test_pictures_without_classes_are_said(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="no classes of tokens"):
        shown("knn-segmentation", stacked(tmp_path / "C"), "vit.*")


@pytest.mark.parametrize("kind", ["depth-curves", "propagation", "knn-segmentation"])
def test_points_that_are_not_there_are_said(kind: str, pictures: Cache) -> None:
    with pytest.raises(ProbeError, match="no cache of images was given that has llm"):
        shown(kind, pictures, "llm.layer_03")
