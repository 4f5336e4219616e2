"""Real COCO and ADE20K photographs as a user takes them through: prepare, extract, verify, and what came out."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask

from foresight_cache import open_cache
from foresight_cache.geometry import input_placement
from foresight_cache.reader import Cache
from tests.support.command import foresight, said


def through(dataset: str, root: Path, out: Path, *more: object) -> Cache:
    """A cache of the set, by the three commands."""
    shards, cache = out / "S", out / "C"
    run = foresight("prepare", dataset, "--root", root, "--partial", "--deep", "--out", shards)
    assert run.returncode == 0, run.stderr
    model = ("--model", "tiny:qwen2_5_vl", "--points", "E1,E5")
    run = foresight("extract", shards, *model, "--out", cache, *more)
    assert run.returncode == 0, run.stderr
    run = foresight("verify", cache)
    assert (run.returncode, run.stdout) == (0, f"{cache}: no findings\n")
    return open_cache(cache)


@pytest.mark.parametrize(("size", "fit"), [("224", "letterbox"), ("native", "stretch")])
def test_coco(assets: Path, tmp_path: Path, size: str, fit: str) -> None:
    root = assets / "data" / "coco"
    cache = through("coco2017", root, tmp_path, "--size", size, "--fit", fit)
    assert len(cache) == 4
    assert "labels" not in cache
    document = json.loads((root / "annotations/instances_val2017.json").read_text())
    published = {each["id"]: each for each in document["annotations"]}
    objects = 0
    for index, row in enumerate(cache.rows):
        assert row["split"] == "val2017"
        pixels = cache["pixels"].grid(index)[0]
        placed = input_placement(row)
        with Image.open(root / row["file_name"]) as image:
            inner = image.convert("RGB").resize((placed.inner_width, placed.inner_height), Image.Resampling.BICUBIC)
        rows = slice(placed.top, placed.top + placed.inner_height)
        assert np.array_equal(pixels[rows, placed.left : placed.left + placed.inner_width], np.asarray(inner))
        for entry in row["annotations"]["objects"]:
            assert entry["area"] == pytest.approx(published[entry["annotation_id"]]["area"])
            assert mask.area(entry["segmentation"]) == pytest.approx(entry["area"], rel=0.1, abs=30)
            objects += 1
    assert objects == 14


def test_ade20k(assets: Path, tmp_path: Path) -> None:
    root = assets / "data" / "ADEChallengeData2016"
    cache = through("ade20k", root, tmp_path, "--size", "native")
    assert len(cache) == 3
    for index, row in enumerate(cache.rows):
        stem = Path(row["file_name"]).stem
        original = np.asarray(Image.open(root / "annotations/validation" / f"{stem}.png"))
        labels = cache["labels"].grid(index)[0, ..., 0].astype(int)
        assert labels.shape == cache["pixels"].grid(index).shape[1:3]
        shares = [np.bincount(each.ravel(), minlength=151) / each.size for each in (labels, original)]
        assert np.abs(shares[0] - shares[1]).max() < 0.005, "resized, every class keeps its share"
        assert row["annotations"]["labels"] == {"classes": {"count": 150}, "ignore": 0}


def test_what_is_lacking_is_told(assets: Path, tmp_path: Path) -> None:
    root = assets / "data" / "coco"
    request = ("prepare", "coco2017", "--root", root, "--split", "val2017", "--out", tmp_path / "S")
    assert said(*request, status=1) == (
        "foresight: split 'val2017' of 'coco2017' has 4 samples here and 5,000 as published: 4,996 are missing; "
        "get it whole, or prepare what is there with --partial\n"
    )
    run = foresight(*request, "--partial")
    assert run.stdout.splitlines()[1:3] == [
        "val2017: 4 found, 5,000 expected, 4,996 missing, 0 extra",
        f"6 files below {root}:",
    ]


def test_the_datasets_command(tmp_path: Path) -> None:
    listed = foresight("datasets").stdout.splitlines()
    assert any(line.startswith("coco2017 ") and "objects, captions" in line for line in listed)
    shown = foresight("datasets", "show", "ade20k").stdout
    for text in ("training (20,210), validation (2,000)", "ADEChallengeData2016.zip", "--root ROOT", "sceneCategories"):
        assert text in shown
    assert "unknown dataset 'ade20'; did you mean 'ade20k'" in said("datasets", "show", "ade20", status=2)


def test_the_duplicates_command(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9), "red").save(tmp_path / name / "same.png")
        Image.new("RGB", (9, 9), "green" if name == "a" else "blue").save(tmp_path / name / "own.png")
        run = foresight("prepare", "image-folder", "--root", tmp_path / name, "--out", tmp_path / f"S{name}")
        assert run.returncode == 0
    run = foresight("datasets", "duplicates", tmp_path / "Sa", tmp_path / "Sb")
    assert (run.returncode, run.stdout) == (1, "image-folder/all/same\timage-folder/all/same\n")
    assert foresight("datasets", "duplicates", tmp_path / "Sa", tmp_path / "Sa").returncode == 0
    also = ("--also", tmp_path / "Sa", "--out", tmp_path / "Sc")
    run = foresight("prepare", "image-folder", "--root", tmp_path / "b", *also)
    assert "1 have the same media as another sample, and its group" in run.stdout


def test_benchmarks_are_a_registry(tmp_path: Path) -> None:
    from pipelines import bench

    assert "prepare" in bench.names()
    for name in bench.names():
        assert callable(bench.part(name).run)
    assert "unknown benchmark 'prepar'; did you mean 'prepare'" in said("bench", "prepar", status=2)


@pytest.mark.slow
def test_the_benchmark_of_packing_measures(tmp_path: Path) -> None:
    """That it runs and compares with both tars; how fast it is depends on the machine."""
    run = foresight("bench", "prepare", "--quick", "--where", tmp_path)
    assert run.returncode == 0, run.stderr
    for ours in ("images alone", "images with boxes"):
        assert f"| rate of packing {ours} to Python's tarfile |" in run.stdout
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
