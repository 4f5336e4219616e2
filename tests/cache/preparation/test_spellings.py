"""Names in annotations that are spelled otherwise than those of the files: one cause, told once."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from foresight_cache.errors import DatasetError
from tests.support.preparing import ids, prepare, refusal
from tests.support.three_images import HEIGHT, WIDTH, picture


def coco_of(root: Path, names: list[tuple[str, str]]) -> Path:
    """Images under the second name of each pair, which the JSON lists under the first."""
    for number, (_, there) in enumerate(names):
        (root / "val" / there).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(root / "val" / there)
    images = [
        {"id": number, "file_name": listed, "width": WIDTH, "height": HEIGHT}
        for number, (listed, _) in enumerate(names)
    ]
    (root / "annotations").mkdir()
    document = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "cup"}]}
    (root / "annotations/instances_val.json").write_text(json.dumps(document))
    return root


@pytest.mark.parametrize("partial", [True, False])
@pytest.mark.parametrize(
    ("listed", "there", "how"),
    [
        (lambda n: f"deep\\er\\{n}.jpg", "deep/er/{}.jpg", "have backslashes"),
        (lambda n: f"val/{n}.jpg", "{}.jpg", "begin with the name of the folder that they lie in"),
        (lambda n: f"a%20%23{n}.jpg", "a #{}.jpg", "are percent-encoded"),
        (
            lambda n: f"caf\u00e9 {n}.jpg",
            unicodedata.normalize("NFD", "caf\u00e9 {}.jpg"),
            "differ in how letters with accents are written",
        ),
        (
            lambda n: unicodedata.normalize("NFD", f"{n} \u00fc.jpg"),
            "{} \u00fc.jpg",
            "differ in how letters with accents are written",
        ),
        (lambda n: f"IMG_{n}.JPG", "img_{}.jpg", "differ in upper and lower case"),
        (lambda n: f"Sub/{n}.jpg", "sub/{}.jpg", "differ in upper and lower case"),
        (lambda n: f"D:\\label\\{n}.jpg", "{}.jpg", "have folders that are not there"),
        (lambda n: f"images/{n}.jpg", "{}.jpg", "have folders that are not there"),
        (lambda n: f"C:\\IM%20G\\a%20{n}.JPG", "a {}.jpg", "differ in several ways"),
    ],
)
def test_the_cause_is_told_once(
    tmp_path: Path, listed: Callable[[int], str], there: str, how: str, partial: bool
) -> None:
    root = coco_of(tmp_path / "in", [(listed(number), there.format(number)) for number in range(3)])
    error = refusal(DatasetError, root=root, out=tmp_path / "s", partial=partial)
    assert error.startswith(f"none of the 3 samples of 'coco' that are listed is in {root}, such as ")
    assert f"the file names that are listed {how}" in error
    first = "val/" + there.format(0)
    assert f"; as {first!a} and so on all of them are there; correct the names in the annotations" in error
    assert "\n" not in error


def test_names_that_are_only_missing_are_told_as_missing(tmp_path: Path) -> None:
    root = coco_of(tmp_path / "in", [("x.jpg", "1.jpg"), ("y.jpg", "2.jpg"), ("z.jpg", "3.jpg")])
    error = refusal(DatasetError, root=root, out=tmp_path / "s")
    assert error.startswith("3 of 3 samples of 'coco' cannot be used")
    error = refusal(DatasetError, root=root, out=tmp_path / "s", partial=True)
    assert error.endswith("; below it are media that are not listed: 3 .jpg, such as val/" + error[-5:])


def test_one_that_is_there_is_no_system(tmp_path: Path) -> None:
    root = coco_of(tmp_path / "in", [("1.jpg", "1.jpg"), ("2.JPG", "2.jpg")])
    assert "1 of 2 samples" in refusal(DatasetError, root=root, out=tmp_path / "s")
    assert ids(prepare("coco", root=root, out=tmp_path / "s", partial=True)) == ["coco/val/1"]
