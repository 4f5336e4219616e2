"""Every file below a root is taken, refused by name, or passed over by a named rule, and the numbers add up."""

import subprocess
from pathlib import Path

import pytest

from foresight_cache import datasets
from foresight_cache.datasets import FolderRules, RawSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.errors import DatasetError, UnknownName
from foresight_cache.preparation.options import PreparationOptions
from tests.support import video_sets
from tests.support.command import foresight
from tests.support.preparing import prepare, refusal
from tests.support.three_images import picture


def lay(root: Path, *names: str) -> Path:
    """Writes a picture of its own under each name, whatever its suffix."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(root / name, format="JPEG")
    return root


def inventory_of(root: Path, family: str = "image_folder", *splits: str, pass_over: str = "") -> Inventory:
    reader = datasets.reader(family)("mine", root, FolderRules(pass_over=frozenset(pass_over.split())))
    chosen = splits or reader.splits()
    return reader.inventory([sample for split in chosen for sample in reader.samples(split)], chosen)


def rows(inventory: Inventory) -> dict[str, int]:
    """Numbers by what becomes of the files; they add up to what `find` counts."""
    found = subprocess.run(["find", inventory.root, "-type", "f"], capture_output=True, text=True, check=True)
    assert inventory.files == len(found.stdout.splitlines())
    counted = {"taken": inventory.taken, "refused": inventory.refused}
    counted |= {kind: each.count for kind, each in inventory.passed_over.items()}
    return {name: count for name, count in counted.items() if count}


class TestHiddenAndSystemFiles:
    """One list for folders and files, of any set."""

    @pytest.mark.parametrize(
        "name",
        [
            *(".ipynb_checkpoints/0-checkpoint.jpg", "@eaDir/0.jpg/SYNOFILE_THUMB_M.jpg", ".Trash-1000/files/old.jpg"),
            *("__MACOSX/cat/._0.jpg", "cat/._0.jpg", "cat/@EADIR/0.jpg", "#recycle/1.jpg", "lost+found/1.jpg"),
            *("cat/Thumbs.db", "Desktop.ini", ".git/objects/ab/cd.png", "$RECYCLE.BIN/S-1-5/a.jpg"),
        ],
    )
    @pytest.mark.parametrize("family", ["image_folder", "video_folder"])
    def test_they_are_no_samples_and_no_classes(self, tmp_path: Path, family: str, name: str) -> None:
        root = lay(tmp_path, name, f"cat/{name}")
        if family == "image_folder":
            lay(tmp_path, "cat/0.jpg", "dog/0.jpg")
        else:
            lay(tmp_path, "cat/0/1.jpg", "dog/0/1.jpg")
        samples = list(datasets.reader(family)("mine", root).samples("all"))
        classes = [sample.sample.annotations["class"]["name"] for sample in samples if isinstance(sample, RawSample)]
        assert classes == ["cat", "dog"]
        assert rows(inventory_of(root, family)) == {"taken": 2, "hidden": 2}

    def test_what_only_looks_hidden_is_taken(self, tmp_path: Path) -> None:
        root = lay(tmp_path, "_a/1.jpg", "#1/1.jpg", "thumbs/1.jpg", "@home/1.jpg")
        assert rows(inventory_of(root)) == {"taken": 4}


class TestSuffixes:
    def test_other_names_of_a_format(self, tmp_path: Path) -> None:
        root = lay(tmp_path / "in", "a.jfif", "b.JPE", "c.JPG", "d.Jpeg")
        assert prepare("image-folder", root=root, out=tmp_path / "s").splits == {"all": 4}

    @pytest.mark.parametrize(
        ("family", "name", "kind"),
        [
            *(("image_folder", name, "undecodable") for name in ("b.heic", "b.AVIF", "b.cr2", "b.jxl")),
            *(("video_folder", name, "undecodable") for name in ("up/b.ogv", "up/b.RM", "b.swf", "up/b.m2v")),
            *(("image_folder", name, "other-media") for name in ("b.mp4", "cat/b.MOV")),
            *(("video_folder", name, "other-media") for name in ("poster.jpg", "up/b.PNG")),
            *(("video_folder", name, "unplaced") for name in ("up/frames/inner/b.mp4",)),
        ],
    )
    def test_data_that_is_not_taken_is_refused_unless_accepted(
        self, tmp_path: Path, family: str, name: str, kind: str
    ) -> None:
        root, dataset = tmp_path / "in", family.replace("_", "-")
        (root / "up").mkdir(parents=True)
        if family == "video_folder":
            video_sets.clip(root / "up" / "a.mp4")
            lay(root, "up/frames/1.jpg")
        else:
            lay(root, "cat/a.jpg")
        lay(root, name)
        error = refusal(DatasetError, dataset=dataset, root=root, out=tmp_path / "s")
        assert error.startswith(f"1 of the {3 if family == 'video_folder' else 2} files below {root} look like data")
        assert f"--pass-over {kind}:\n  {kind}, " in error
        assert name in error
        assert not (tmp_path / "s").exists()
        summary = prepare(dataset, root=root, out=tmp_path / "s", pass_over=(kind,))
        assert summary.inventory is not None
        assert rows(summary.inventory) == {"taken": 2 if family == "video_folder" else 1, kind: 1}

    def test_other_kinds_are_told_and_no_loss(self, tmp_path: Path) -> None:
        root = lay(tmp_path / "in", "cat/a.jpg", "readme.md", "cat/a.json", "LICENSE", "labels.csv")
        run = foresight("prepare", "image-folder", "--root", root, "--out", tmp_path / "s")
        assert run.returncode == 0
        assert run.stdout.splitlines()[-3:] == [
            f"5 files below {root}:",
            "  1 taken",
            "  4 passed over, other: 1 .csv, 1 .json, 1 .md, 1 without suffix, such as "
            + run.stdout.split("such as ")[-1].strip(),
        ]

    def test_each_folder_has_an_example(self, tmp_path: Path) -> None:
        root = lay(tmp_path / "in", "train/cat/0.jpg", "holdout/a/1.jpg", "holdout/b/1.jpg", "loose.jpg", "more/2.jpg")
        error = refusal(DatasetError, dataset="image-folder", root=root, out=tmp_path / "s")
        assert error.startswith("4 of the 5 files below ")
        assert "4 .jpg, such as holdout/" in error
        assert "loose.jpg, more/2.jpg" in error

    def test_nothing_but_unknown_suffixes(self, tmp_path: Path) -> None:
        root = lay(tmp_path / "in", "a.xyz", "b.bin")
        error = refusal(DatasetError, dataset="image-folder", root=root, out=tmp_path / "s")
        assert "has no image of a suffix that is known: its 2 files are files of other kinds: 1 .bin, 1 .xyz" in error
        (tmp_path / "empty").mkdir()
        error = refusal(DatasetError, dataset="video-folder", root=tmp_path / "empty", out=tmp_path / "s")
        assert "has no clip of a suffix that is known: it holds no file at all" in error

    def test_an_unknown_kind(self) -> None:
        with pytest.raises(UnknownName, match="'undecodeable'"):
            PreparationOptions(pass_over=("undecodeable",))


class TestSplits:
    @pytest.mark.parametrize("names", [("Train", "Test"), ("TRAIN", "validation"), ("training", "Valid")])
    def test_any_case(self, tmp_path: Path, names: tuple[str, str]) -> None:
        root = lay(tmp_path, *(f"{name}/{kind}/0.jpg" for name in names for kind in ("cat", "dog")))
        reader = datasets.reader("image_folder")("mine", root)
        assert reader.splits() == tuple(name.lower() for name in names)
        for name in names:
            samples = [sample.sample for sample in reader.samples(name.lower()) if isinstance(sample, RawSample)]
            assert [sample.id for sample in samples] == [f"mine/{name.lower()}/{kind}/0" for kind in ("cat", "dog")]
            assert samples[0].file_name == f"{name}/cat/0.jpg"

    def test_two_folders_of_one_split(self, tmp_path: Path) -> None:
        root = lay(tmp_path, "Train/cat/0.jpg", "train/dog/0.jpg")
        with pytest.raises(DatasetError, match="two folders of the split 'train', Train and train; make them one"):
            datasets.reader("image_folder")("mine", root).splits()

    @pytest.mark.parametrize("beside", ["holdout/cat/1.jpg", "loose.jpg", "training_set/cat/1.jpg", "bus/1.jpg"])
    def test_what_lies_beside_splits_is_refused_unless_accepted(self, tmp_path: Path, beside: str) -> None:
        root = lay(tmp_path / "in", "train/cat/0.jpg", "train/dog/0.jpg", beside)
        error = refusal(DatasetError, dataset="image-folder", root=root, out=tmp_path / "s")
        assert f"unplaced, media where the layout has none: 1 .jpg, such as {beside}" in error
        summary = prepare("image-folder", root=root, out=tmp_path / "s", pass_over=("unplaced",))
        assert summary.splits == {"train": 2}
        assert summary.inventory is not None
        assert rows(summary.inventory) == {"taken": 2, "unplaced": 1}

    def test_a_split_that_was_not_asked_for(self, tmp_path: Path) -> None:
        root = lay(tmp_path / "in", "train/cat/0.jpg", "Test/cat/1.jpg", "Test/cat/notes.txt", "a.md")
        assert rows(inventory_of(root, "image_folder", "train")) == {"taken": 1, "other-splits": 1, "other": 2}

    @pytest.mark.parametrize(
        "names", [("training_set", "test_set"), ("train2017", "val2017"), ("images-train", "cat"), ("Dev", "cat")]
    )
    def test_names_that_may_be_splits(self, tmp_path: Path, names: tuple[str, str]) -> None:
        root = lay(tmp_path / "in", *(f"{name}/{kind}/0.jpg" for name in names for kind in "ab"))
        error = refusal(DatasetError, dataset="image-folder", root=root, out=tmp_path / "s")
        assert "that may be meant as" in error
        assert names[0] in error
        assert "--pass-over split-names" in error
        summary = prepare("image-folder", root=root, out=tmp_path / "s", pass_over=("split-names",))
        assert summary.classes == tuple(sorted(names))

    def test_a_class_that_is_called_like_a_split(self, tmp_path: Path) -> None:
        root = lay(tmp_path / "in", "train/0.jpg", "bus/0.jpg", "car/0.jpg")
        summary = prepare("image-folder", root=root, out=tmp_path / "s", pass_over=("split-names",))
        assert (summary.splits, summary.classes) == ({"all": 3}, ("bus", "car", "train"))

    @pytest.mark.parametrize(
        ("names", "holds"),
        [
            (("set/train/cat/0.jpg", "set/val/cat/0.jpg"), "the splits train and val"),
            (("set/cat/0.jpg", "set/dog/0.jpg"), "the folders cat, dog"),
            (("set/inner/cat/0.jpg", "set/inner/dog/0.jpg"), "the folder inner"),
        ],
    )
    def test_a_folder_around_everything(self, tmp_path: Path, names: tuple[str, ...], holds: str) -> None:
        root = lay(tmp_path / "in", *names, "__MACOSX/a.jpg", "readme.txt")
        error = refusal(DatasetError, dataset="image-folder", root=root, out=tmp_path / "s")
        assert (
            f"lie in its folder set, which holds {holds}, so that they would be of one class; give {root}/set" in error
        )
        accepted = ("wrapping", "split-names") if "splits" in holds else ("wrapping",)
        assert prepare("image-folder", root=root, out=tmp_path / "s", pass_over=accepted).classes == ("set",)

    def test_splits_inside_classes(self, tmp_path: Path) -> None:
        root = lay(tmp_path / "in", "cat/Train/0.jpg", "cat/test/1.jpg", "dog/Train/2.jpg")
        error = refusal(DatasetError, dataset="image-folder", root=root, out=tmp_path / "s")
        assert "the folders Train, test of splits lie below folders of classes, such as cat/Train" in error

    def test_one_class_in_both_forms_of_unicode(self, tmp_path: Path) -> None:
        root = lay(tmp_path / "in", "caf\u00e9/0.jpg", "cafe\u0301/1.jpg", "the/2.jpg")
        assert prepare("image-folder", root=root, out=tmp_path / "s").classes == ("caf\u00e9", "the")


def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay(tmp_path / "in", "cat/0.jpg", "dog/0.jpg")
    import os

    scandir = os.scandir

    def refuse(path: str) -> object:
        if "dog" in str(path):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match="dog/ cannot be read: Permission denied|dog cannot be read"):
        list(datasets.reader("image_folder")("mine", root).samples("all"))


@pytest.mark.parametrize(("dataset", "fixture"), [("coco", "coco"), ("ade20k", "ade"), ("qa-jsonl", "questions")])
def test_sets_with_annotations(dataset: str, fixture: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    root = request.getfixturevalue(fixture)
    summary = prepare(dataset, root=root, out=tmp_path / "s", partial=True)
    assert summary.inventory is not None
    text = {} if fixture == "ade" else {"text": 1}
    assert rows(summary.inventory) == {"taken": 6 if fixture == "ade" else 3, **text}


def test_files_of_bad_samples_are_refused_and_not_unlisted(
    coco: Path, ade: Path, questions: Path, tmp_path: Path
) -> None:
    path = coco / "annotations/instances_val2017.json"
    path.write_text(path.read_text().replace('"bbox": [1, 2, 9, 9]', '"bbox": [1, 2, -9, 9]', 1))
    (ade / "annotations/validation/ADE_val_00000001.png").unlink()
    lines = (questions / "test.jsonl").read_text().splitlines()
    (questions / "test.jsonl").write_text("\n".join([lines[0].replace('"What?"', "7"), *lines[1:]]))
    for family, root, taken in (("coco", coco, 2), ("ade20k", ade, 4), ("qa_jsonl", questions, 2)):
        counted = rows(inventory_of(root, family))
        assert (counted["taken"], counted["refused"], counted.get("not-listed")) == (taken, 1, None), family
    root = video_sets.davis(tmp_path / "davis") / "DAVIS"
    (root / "JPEGImages/480p/bear").rename(root / "JPEGImages/480p/grizzly")
    assert rows(inventory_of(root, "davis2017")) == {"taken": 10, "refused": 5, "not-listed": 5, "text": 2}
