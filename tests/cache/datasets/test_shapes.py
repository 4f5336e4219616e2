"""The synthetic scenes against pycocotools and against their own pixels."""

import contextlib
import hashlib
import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from foresight_cache.datasets import RawSample
from foresight_cache.datasets.layouts import coco
from foresight_cache.datasets.synthetic import shapes, single_shape
from foresight_cache.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    shapes.generate(root, count=40, seed=3)
    return root


@pytest.fixture(scope="module")
def reference(scenes: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(scenes / "annotations" / "instances_train.json"))


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_boxes_are_tight_around_the_masks(reference: COCO) -> None:
    for annotation in reference.anns.values():
        mask = reference.annToMask(annotation)
        rows, columns = np.nonzero(mask)
        x, y, width, height = annotation["bbox"]
        assert (columns.min(), rows.min()) == (x, y)
        assert (columns.max() + 1, rows.max() + 1) == (x + width, y + height)
        assert mask.sum() == annotation["area"] > 0


def test_masks_are_the_drawn_pixels(scenes: Path, reference: COCO) -> None:
    """An object's colour is far more saturated than any background, so its pixels show which it owns."""
    for image_id, image in reference.imgs.items():
        pixels = np.asarray(Image.open(scenes / "train" / image["file_name"])).astype(int)
        vivid = np.ptp(pixels, axis=2) > 40
        union = np.zeros(vivid.shape, int)
        for annotation in reference.imgToAnns[image_id]:
            union += reference.annToMask(annotation)
        assert union.max() == 1, "every pixel has one owner"
        assert np.array_equal(vivid, union == 1)


def test_objects_of_a_scene_have_distinct_colours(scenes: Path, reference: COCO) -> None:
    for image_id, image in reference.imgs.items():
        pixels = np.asarray(Image.open(scenes / "train" / image["file_name"]))
        seen: set[tuple[int, ...]] = set()
        for annotation in reference.imgToAnns[image_id]:
            mask = reference.annToMask(annotation).astype(bool)
            own = {tuple(map(int, colour)) for colour in np.unique(pixels[mask], axis=0)}
            assert 1 <= len(own) <= 2
            assert not own & seen
            seen |= own


def test_scenes_vary(reference: COCO) -> None:
    counts = [len(reference.imgToAnns[image]) for image in reference.imgs]
    assert set(counts) == {1, 2, 3, 4, 5}
    assert {annotation["category_id"] for annotation in reference.anns.values()} == set(reference.cats)
    assert all(key >= 1 for key in reference.anns)


def test_the_coco_reader_reads_them(scenes: Path, reference: COCO) -> None:
    records = list(coco.Reader("shapes", scenes).samples("train"))
    assert len(records) == 40
    for record in records:
        assert isinstance(record, RawSample)
        assert (record.sample.height, record.sample.width) == (448, 448)
        theirs = reference.imgToAnns[int(record.path.stem)]
        names = [reference.cats[each["category_id"]]["name"] for each in theirs]
        assert [each["category"] for each in record.sample.annotations["objects"]] == names
    assert records[0].sample.id == "shapes/train/000000000000"  # type: ignore[union-attr]


def test_same_seed_same_bytes_and_fewer_scenes_are_the_first(tmp_path: Path, scenes: Path) -> None:
    shapes.generate(tmp_path / "again", count=40, seed=3)
    assert digests(tmp_path / "again") == digests(scenes)
    shapes.generate(tmp_path / "fewer", count=2, seed=3)
    assert [digests(tmp_path / "fewer")[f"train/00000000000{i}.png"] for i in range(2)] == [
        digests(scenes)[f"train/00000000000{i}.png"] for i in range(2)
    ]
    shapes.generate(tmp_path / "other", count=2, seed=4)
    assert digests(tmp_path / "other")["train/000000000000.png"] != digests(scenes)["train/000000000000.png"]


def test_scenes_of_one_shape_hold_one_object(tmp_path: Path) -> None:
    single_shape.generate(tmp_path, count=12, seed=3)
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(str(tmp_path / "annotations" / "instances_train.json"))
    assert [len(reference.imgToAnns[image]) for image in reference.imgs] == [1] * 12
    for image_id, image in reference.imgs.items():
        pixels = np.asarray(Image.open(tmp_path / "train" / image["file_name"])).astype(int)
        vivid = np.ptp(pixels, axis=2) > 40
        assert np.array_equal(vivid, reference.annToMask(*reference.imgToAnns[image_id]) == 1)


def test_impossible_requests_are_refused(tmp_path: Path) -> None:
    for count, seed in ((0, 0), (1, -1)):
        with pytest.raises(UsageError, match="the count is 1 or more, the seed 0 or more"):
            shapes.generate(tmp_path, count=count, seed=seed)
    assert not list(tmp_path.iterdir())


def test_it_takes_a_fraction_of_a_minute(tmp_path: Path) -> None:
    start = time.process_time()
    shapes.generate(tmp_path, count=50, seed=0)
    assert time.process_time() - start < 2.5  # 200 scenes in 10 s; measured: 0.5 s
