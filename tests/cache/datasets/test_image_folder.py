"""Folders of images with splits, with classes, with neither; names that files have in practice."""

import os
from pathlib import Path

import pytest

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.layouts.image_folder import Reader
from foresight_cache.errors import DatasetError


def lay(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def described(root: Path, split: str) -> dict[str, str | None]:
    """Class by sample id."""
    records = list(Reader("mine", root).samples(split))
    assert all(isinstance(record, RawSample) for record in records), records
    samples = [record.sample for record in records if isinstance(record, RawSample)]
    return {sample.id: sample.annotations.get("class", {}).get("name") for sample in samples}


def test_splits_and_classes(tmp_path: Path) -> None:
    root = lay(tmp_path, "train/dog/b.jpg", "train/cat/a.JPEG", "train/cat/deep/c.png", "val/dog/d.jpg", "notes.txt")
    assert Reader("mine", root).splits() == ("train", "val")
    assert described(root, "train") == {
        "mine/train/cat/a": "cat",
        "mine/train/cat/deep/c": "cat",
        "mine/train/dog/b": "dog",
    }
    records = [record.sample for record in Reader("mine", root).samples("train") if isinstance(record, RawSample)]
    assert [sample.annotations["class"]["id"] for sample in records] == [0, 0, 1]
    assert records[0].file_name == "train/cat/a.JPEG"


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("train/cat/a", "train/dog/b", "train/fox/c", "val/dog/d", "val/fox/e"), {"cat": 0, "dog": 1, "fox": 2}),
        (("train/fox/a", "val/cat/b", "val/fox/c"), {"cat": 0, "fox": 1}),
        (("train/b/a", "val/a/b", "test/c/c", "val/c/d"), {"a": 0, "b": 1, "c": 2}),
    ],
    ids=["a class is missing from val", "a class of val alone comes first", "three splits"],
)
def test_a_class_has_one_number_in_all_splits(tmp_path: Path, names: tuple[str, ...], numbers: dict[str, int]) -> None:
    reader = Reader("mine", lay(tmp_path, *(f"{name}.jpg" for name in names)))
    seen = {split: list(reader.samples(split)) for split in reader.splits()}
    alone = {split: list(Reader("mine", tmp_path).samples(split)) for split in reader.splits()}
    assert alone == seen, "a split that is read alone has the same numbers"
    records = [record for listed in seen.values() for record in listed if isinstance(record, RawSample)]
    assert len(records) == len(names)
    for record in records:
        found = record.sample.annotations["class"]
        assert found["id"] == numbers[found["name"]]


def test_classes_alone_and_neither(tmp_path: Path) -> None:
    root = lay(tmp_path, "cat/a.jpg", "b.webp", ".hidden.jpg", "cat/readme.md")
    assert Reader("mine", root).splits() == ("all",)
    assert described(root, "all") == {"mine/all/b": None, "mine/all/cat/a": "cat"}


def test_names_that_differ_in_their_suffix_alone(tmp_path: Path) -> None:
    root = lay(tmp_path, "a.jpg", "a.png", "b.png", "Tasse à café.jpg")
    assert list(described(root, "all")) == [
        "mine/all/Tasse à café",
        "mine/all/a.jpg",
        "mine/all/a.png",
        "mine/all/b",
    ]


def test_what_is_not_followed_is_told(tmp_path: Path) -> None:
    root = lay(tmp_path / "root", "cat/a.jpg", "cat/inner.png")
    (root / "cat/link.jpg").symlink_to(lay(tmp_path, "outside.jpg") / "outside.jpg")
    (root / "cat/same.png").symlink_to("inner.png")
    (root / "dog").symlink_to(root / "cat")
    Path(os.fsdecode(os.fsencode(root) + b"/cat/\xe9.jpg")).write_bytes(b"")
    records = list(Reader("mine", root).samples("all"))
    assert {record.id: record.reason for record in records if isinstance(record, BrokenSample)} == {
        "mine/all/cat/link": "'cat/link.jpg' is a link out of the folder of the images, which is not followed; name "
        "the folder that it leads to with --follow-links, or put the file itself there",
        "mine/all/cat/\\udce9": "its file name 'cat/\\udce9.jpg' is not UTF-8; rename the file",
        "mine/all/dog": "'dog' is a link to a folder, which is not followed; name the folder that it leads to with "
        "--follow-links, or put the folder itself there",
    }
    sound = [record.sample.id for record in records if isinstance(record, RawSample)]
    assert sound == ["mine/all/cat/a", "mine/all/cat/inner", "mine/all/cat/same"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no folder .*/no; expected images"):
        Reader("mine", tmp_path / "no").splits()
    root = lay(tmp_path, "train/a.jpg")
    with pytest.raises(DatasetError, match="has no split 'all'; splits there: train"):
        list(Reader("mine", root).samples("all"))
