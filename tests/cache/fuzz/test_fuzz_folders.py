"""Raw folders that somebody has been at: the inventory adds up, and no sample has another's annotation.

The layouts are small and whole; then files are added, renamed, copied, emptied, taken away, linked and exchanged
between splits, text files as well as media. What a sample may say is looked up in the files by other means.
"""

import json
import os
import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from foresight_cache import datasets
from foresight_cache.datasets import RawSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.errors import DatasetError
from foresight_cache.records import canonical_json
from tests.support.trial import Trials, generators, some

Files = dict[str, bytes]
FOLDERS_PER_LAYOUT = some(560)
NAMES = (
    *("._0.jpg", ".DS_Store", "Thumbs.db", "@eaDir/0.jpg", ".ipynb_checkpoints/0-checkpoint.png", "__MACOSX/._1.jpg"),
    *(
        "extra.jpg",
        "extra.JPG",
        "a.heic",
        "a.tar.jpg",
        "notes.txt",
        "labels.csv",
        "README",
        "copy of 0.jpg",
        "0 (1).jpg",
    ),
    *("a.mp4", "a.webm", "00000009.jpg", "img_00002.jpg", "0.png", "new/0.jpg", "new/deep/0.jpg", "Cafe\u0301/0.jpg"),
    *(
        "Caf\u00e9/1.jpg",
        "Train/0.jpg",
        "val2017/0.jpg",
        "validation_set/x/0.jpg",
        "-0.jpg",
        "'.jpg",
        "a\nb.jpg",
        "a\\b.jpg",
    ),
    *("\ud83d\ude00.jpg".encode("utf-16", "surrogatepass").decode("utf-16"), ".jpg", "jpg", "0.jpg.part", "1..jpg"),
)


@dataclass(frozen=True)
class Layout:
    family: str
    files: Files
    check: Callable[[RawSample, Path], None]
    """Raises where a sample has what its own file does not say."""


def image_folder() -> Layout:
    names = [f"{split}/{kind}/{n}.jpg" for split in ("train", "val") for kind in ("cat", "dog") for n in range(2)]
    return Layout("image_folder", {name: name.encode() for name in names}, check_class)


def video_folder() -> Layout:
    names = [f"{kind}/{clip}/{n:03d}.jpg" for kind in ("run", "sit") for clip in ("a", "b") for n in range(3)]
    return Layout("video_folder", {name: name.encode() for name in [*names, "run/c.mp4", "sit/c.webm"]}, check_class)


def check_class(listed: RawSample, root: Path) -> None:
    folders = str(listed.path.relative_to(root)).split("/")[:-1]
    folders = folders[1:] if listed.sample.split != "all" else folders
    said = listed.sample.annotations.get("class", {}).get("name")
    assert said == (unicodedata.normalize("NFC", folders[0]) if folders else None)


def coco() -> Layout:
    files: Files = {}
    for place, split in enumerate(("train", "val")):
        numbers = range(10 * place, 10 * place + 4)
        document = {
            "images": [{"id": n, "file_name": f"{n}.jpg", "width": 20, "height": 10} for n in numbers],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [n % 5, 1, 2, 2], "area": 4} for n in numbers
            ],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
        captions = {"annotations": [{"id": n, "image_id": n, "caption": f"{n}.jpg"} for n in numbers]}
        files[f"annotations/instances_{split}.json"] = json.dumps(document).encode()
        files[f"annotations/captions_{split}.json"] = json.dumps(captions).encode()
        files |= {f"{split}/{n}.jpg": str(n).encode() for n in numbers}
    return Layout("coco", files, check_objects)


def check_objects(listed: RawSample, root: Path) -> None:
    document = json.loads((root / "annotations" / f"instances_{listed.sample.split}.json").read_bytes())
    (image,) = (each for each in document["images"] if each["file_name"] == listed.path.name)
    boxes = [each["bbox"][:2] for each in document["annotations"] if each["image_id"] == image["id"]]
    assert [each["box"][:2] for each in listed.sample.annotations["objects"]] == boxes
    names = {each["id"]: each["name"] for each in document["categories"]}
    assert all(each["category"] == names[each["category_id"]] for each in listed.sample.annotations["objects"])
    assert all(caption == listed.path.name for caption in listed.sample.annotations.get("captions", ()))


def ade20k() -> Layout:
    files = {"objectInfo150.txt": b"Idx\tRatio\tTrain\tVal\tName\n1\t0.1\t1\t1\twall\n2\t0.1\t1\t1\tsky\n"}
    stems = {"training": ("ADE_train_1", "ADE_train_2", "ADE_train_3"), "validation": ("ADE_val_1", "ADE_val_2")}
    for split, names in stems.items():
        files |= {f"images/{split}/{name}.jpg": name.encode() for name in names}
        files |= {f"annotations/{split}/{name}.png": name.encode() for name in names}
    scenes = "".join(f"{name} scene_of_{name}\n" for names in stems.values() for name in names)
    return Layout("ade20k", files | {"sceneCategories.txt": scenes.encode()}, check_labels)


def check_labels(listed: RawSample, root: Path) -> None:
    assert listed.labels is not None
    assert listed.labels.parent == root / "annotations" / listed.sample.split
    assert listed.labels.stem == listed.path.stem
    scene = listed.sample.annotations.get("scene")
    assert scene in (None, f"scene_of_{listed.path.stem}")


def ssv2() -> Layout:
    templates = {"Pushing [something]": "0", "Moving [something] up": "1"}
    files = {
        "labels/labels.json": json.dumps({each.replace("[", "").replace("]", ""): n for each, n in templates.items()})
    }
    clips = {"train": (11, 12, 13), "validation": (21, 22)}
    for split, numbers in clips.items():
        records = [
            {"id": str(n), "template": list(templates)[n % 2], "label": f"label of {n}", "placeholders": ["a mug"]}
            for n in numbers
        ]
        files[f"labels/{split}.json"] = json.dumps(records)
    media = {f"videos/{n}.webm": str(n) for numbers in clips.values() for n in numbers}
    return Layout("ssv2", {name: text.encode() for name, text in (files | media).items()}, check_action)


def check_action(listed: RawSample, root: Path) -> None:
    records = json.loads((root / "labels" / f"{listed.sample.split}.json").read_bytes())
    (record,) = (each for each in records if each["id"] == listed.path.stem)
    assert listed.sample.annotations["action"]["label"] == record["label"]
    assert listed.sample.annotations["action"]["template"] == record["template"]


def ucf101() -> Layout:
    files = {"ucfTrainTestlist/classInd.txt": "1 Run\n2 Sit\n"}
    for place, name in enumerate(("trainlist01", "testlist01"), start=1):
        rows = [f"{kind}/v_{kind}_g0{place}_c0{n}.avi" for kind in ("Run", "Sit") for n in (1, 2)]
        numbered = {"Run": " 1", "Sit": " 2"} if place == 1 else {"Run": "", "Sit": ""}
        files[f"ucfTrainTestlist/{name}.txt"] = "".join(f"{row}{numbered[row[:3]]}\n" for row in rows)
        files |= {f"UCF-101/{row}": row for row in rows}
    return Layout("ucf101", {name: text.encode() for name, text in files.items()}, check_kind)


def check_kind(listed: RawSample, root: Path) -> None:
    action = listed.sample.annotations["action"]
    assert action["class"] == listed.path.parent.name == listed.path.stem.split("_")[1]
    assert action["class_id"] == {"Run": 0, "Sit": 1}[action["class"]]


def davis() -> Layout:
    files: Files = {}
    for split, clip in (("train", "bear"), ("val", "swan")):
        files[f"ImageSets/2017/{split}.txt"] = f"{clip}\n".encode()
        files |= {f"JPEGImages/480p/{clip}/{n:05d}.jpg": clip.encode() for n in range(3)}
        files |= {f"Annotations/480p/{clip}/{n:05d}.png": clip.encode() for n in range(3)}
    return Layout("davis2017", files, check_masks)


def check_masks(listed: RawSample, root: Path) -> None:
    masks = root / "Annotations" / "480p" / listed.path.name
    assert listed.labels == (masks if masks.is_dir() else None)  # none is refused when labels are read
    assert listed.path.name in (root / "ImageSets/2017" / f"{listed.sample.split}.txt").read_text().splitlines()


def questions() -> Layout:
    files = {f"images/{n}.jpg": str(n) for n in range(6)}
    for split, numbers in (("train", range(3)), ("test", range(3, 6))):
        rows = ({"image": f"images/{n}.jpg", "question": f"q {n}", "answer": None} for n in numbers)
        files[f"{split}.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows)
    return Layout("qa_jsonl", {name: text.encode() for name, text in files.items()}, check_question)


def check_question(listed: RawSample, root: Path) -> None:
    name = str(listed.path.relative_to(root))
    rows = [json.loads(line) for line in (root / f"{listed.sample.split}.jsonl").read_text().splitlines()]
    assert listed.sample.annotations["qa"]["question"] in [row["question"] for row in rows if row["image"] == name]


def haloquest() -> Layout:
    heading = "image_name,url,image type,hallucination type,question,groundtruth responses,split\n"
    files = {f"images/{n}.jpg": str(n) for n in range(6)}
    for split, numbers in (("train", range(3)), ("eval", range(3, 6))):
        files[f"haloquest-{split}.csv"] = heading + "".join(
            f"{n}.jpg,https://x/{n},real,false premises,q {n},a; b,{split}\n" for n in numbers
        )
    return Layout("haloquest", {name: text.encode() for name, text in files.items()}, check_row)


def check_row(listed: RawSample, root: Path) -> None:
    lines = (root / f"haloquest-{listed.sample.split}.csv").read_text().splitlines()
    mine = [line.split(",")[4] for line in lines if line.split(",")[0] == listed.path.name]
    assert listed.sample.annotations["qa"]["question"] in mine


def amber() -> Layout:
    files = {f"images/AMBER_{n}.jpg": str(n) for n in range(6)}
    queries = [{"id": 1005 + n, "image": f"AMBER_{n}.jpg", "query": f"q {n}"} for n in range(6)]
    answers = [{"id": 1005 + n, "type": "discriminative-relation", "truth": f"truth of q {n}"} for n in range(6)]
    files |= {"data/query/query_discriminative.json": json.dumps(queries), "data/annotations.json": json.dumps(answers)}
    return Layout("amber", {name: text.encode() for name, text in files.items()}, check_answer)


def check_answer(listed: RawSample, root: Path) -> None:
    annotation = listed.sample.annotations["qa"]
    assert listed.path.name == f"AMBER_{annotation['question'][2:]}.jpg"
    assert annotation["references"] == [f"truth of {annotation['question']}"]


LAYOUTS = (image_folder, video_folder, coco, ade20k, ssv2, ucf101, davis, questions, haloquest, amber)


def changed(files: Files, generator: random.Random) -> tuple[Files, list[tuple[str, str]]]:
    """Returns the files after one to four changes, and links to make, as their path and target."""
    files, links = dict(files), []
    for _ in range(generator.randint(1, 4)):
        if not files:
            break
        name, other = generator.choice(sorted(files)), generator.choice(sorted(files))
        folder, _, base = name.rpartition("/")
        into = generator.choice(sorted({each.rpartition("/")[0] for each in files}))
        match generator.randrange(9):
            case 0:
                files[_joined(into, generator.choice(NAMES))] = b"added"
            case 1:
                files[_joined(folder, _respelled(base, generator))] = files.pop(name)
            case 2:
                files[_joined(into, base)] = files[name]
            case 3:
                files[name] = b""
            case 4:
                files[name], files[other] = files[other], files[name]
            case 5:
                del files[name]
            case 6:
                files[_joined(into, base)] = files.pop(name)
            case 7:
                links.append((_joined(into, generator.choice(("link.jpg", "link", base))), f"/{name}"))
            case 8:  # a folder is called otherwise
                top, _, rest = name.partition("/")
                respelled = _respelled(top, generator)
                moved = {each: each.replace(top, respelled, 1) for each in files if each.startswith(f"{top}/")}
                files = {moved.get(each, each): data for each, data in files.items()} if rest else files
    return files, links


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _respelled(name: str, generator: random.Random) -> str:
    stem, dot, suffix = name.rpartition(".")
    return generator.choice(
        (
            name.upper(),
            name.title(),
            f"{name}_set",
            f"{name} ",
            f".{name}",
            f"{stem}{dot}{suffix.upper()}",
            f"{name}.bak",
        )
        + ((f"{stem}.png", f"{stem}.mp4", f"{stem}.1{dot}{suffix}", stem) if stem else (f"{name}2017",))
    )


def lay(root: Path, files: Files, links: Sequence[tuple[str, str]]) -> None:
    """Writes what can be written: of a file and a folder of one name, the first."""
    for at, folders, names in os.walk(root, topdown=False):  # by absolute paths, which the watch over the place needs
        for name in (*folders, *names):
            path = f"{at}/{name}"
            (os.remove if Path(path).is_symlink() or name in names else os.rmdir)(path)
    root.mkdir(exist_ok=True)
    for name, data in files.items():
        try:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        except OSError:
            continue
    for name, target in links:
        if not os.path.lexists(root / name) and (root / name).parent.is_dir():
            (root / name).symlink_to(f"{root}{target}")


def count_files(root: Path) -> int:
    return sum(
        len(names) + sum(map(os.path.islink, (f"{at}/{each}" for each in folders)))
        for at, folders, names in os.walk(root)
    )


def read(layout: Layout, root: Path) -> tuple[list[Any], Inventory]:
    reader = datasets.reader(layout.family)("mine", root)
    splits = reader.splits()
    listed = [sample for split in splits for sample in reader.samples(split)]
    return listed, reader.inventory(listed, splits)


@pytest.mark.parametrize("layout", LAYOUTS, ids=[each.__name__ for each in LAYOUTS])
def test_changed_folders(tmp_path: Path, layout: Callable[[], Layout]) -> None:
    whole, root = layout(), tmp_path / "work" / "place" / "raw"
    root.parent.mkdir(parents=True)
    lay(root, whole.files, ())
    listed, inventory = read(whole, root)
    assert all(isinstance(each, RawSample) for each in listed), listed
    assert inventory.files == len(whole.files)
    with Trials(root.parent) as trials:
        for number, generator in generators(18, FOLDERS_PER_LAYOUT):
            files, links = changed(whole.files, generator)
            lay(root, files, links)
            result = trials.run(number, lambda: read(whole, root), DatasetError)
            if isinstance(result, DatasetError):
                continue
            listed, inventory = result
            assert inventory.files == count_files(root), number
            assert_whole(listed, number)
            for sample in listed:
                if isinstance(sample, RawSample):
                    whole.check(sample, root)
                else:
                    canonical_json([sample.id, sample.reason])
        trials.assert_nothing_outside_changed()
    assert trials.outcomes["accepted"] > FOLDERS_PER_LAYOUT // 8


def assert_whole(listed: Sequence[Any], number: int) -> None:
    """No sample is there twice, and a class has one number over all splits."""
    samples = [each.sample for each in listed if isinstance(each, RawSample)]
    assert len({sample.id for sample in samples}) == len(samples), number
    classes = [sample.annotations["class"] for sample in samples if "class" in sample.annotations]
    pairs = {(each["name"], each["id"]) for each in classes}
    assert len({name for name, _ in pairs}) == len({place for _, place in pairs}) == len(pairs), number
