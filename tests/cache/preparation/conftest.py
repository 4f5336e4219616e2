"""Sets to prepare: six drawn scenes, and three samples each of several layouts."""

import json
from pathlib import Path

import pytest
from PIL import Image

from foresight_cache.datasets.synthetic import shapes
from tests.support.three_images import HEIGHT, WIDTH, picture


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pristine")
    shapes.generate(root, count=6, seed=1)
    return root


@pytest.fixture
def raw(pristine: Path, tmp_path: Path) -> Path:
    """Six scenes in COCO format, to be damaged."""
    root = tmp_path / "raw"
    (root / "train").mkdir(parents=True)
    (root / "annotations").mkdir()
    for path in pristine.rglob("*.*"):
        (root / path.relative_to(pristine)).write_bytes(path.read_bytes())
    return root


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Three images with one box each."""
    root = tmp_path / "coco"
    (root / "val2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    for number in range(3):
        picture(number).save(root / "val2017" / f"{number:012d}.jpg", quality=95)
    document = {
        "images": [
            {"id": number, "file_name": f"{number:012d}.jpg", "width": WIDTH, "height": HEIGHT} for number in range(3)
        ],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 90, "bbox": [1, 2, 9, 9], "area": 81, "iscrowd": 0}
            for number in range(3)
        ],
        "categories": [{"id": 90, "name": "toothbrush"}],
    }
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(document))
    return root


@pytest.fixture
def ade(tmp_path: Path) -> Path:
    """Three images with labels."""
    root = tmp_path / "ADEChallengeData2016"
    for number in range(3):
        for folder, name, image in (
            ("images", f"ADE_val_{number:08d}.jpg", picture(number)),
            ("annotations", f"ADE_val_{number:08d}.png", Image.new("L", (WIDTH, HEIGHT), 150)),
        ):
            (root / folder / "validation").mkdir(parents=True, exist_ok=True)
            image.save(root / folder / "validation" / name)
    return root


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Three questions about three images."""
    root = tmp_path / "questions"
    (root / "images").mkdir(parents=True)
    lines = []
    for number in range(3):
        picture(number).save(root / "images" / f"{number}.png")
        lines.append(json.dumps({"image": f"images/{number}.png", "question": "What?", "hallucinated": number == 1}))
    (root / "test.jsonl").write_text("\n".join(lines))
    return root
