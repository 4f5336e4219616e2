"""Thirty-odd ways in which a set is almost right: what the user is told, and that the sound samples still come out."""

import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresight_cache.errors import DatasetError, ForesightError
from foresight_cache.media.images import decode_image
from foresight_cache.shards import read_shard
from foresight_cache.shards.members import frames_of
from tests.support.preparing import prepare
from tests.support.three_images import HEIGHT, WIDTH, edit, image, labels, picture

ADE = "name: three\ntitle: a\nfamily: ade20k\nmedia: image\nannotations: [labels, scene]\nlicence: a\nobtain: a\n"


@dataclass(frozen=True)
class Case:
    """A damage to the second of three samples: `says` is told of it, the other two are packed."""

    name: str
    set: str
    damage: Callable[[Path], object]
    says: str
    options: dict[str, Any] = field(default_factory=dict)
    still: int = 2
    """Samples that are packed all the same."""


def _change_image(**change: Any) -> Callable[[Path], None]:
    return lambda root: edit(root, lambda document: document["images"][1].update(change))


def _change_object(**change: Any) -> Callable[[Path], None]:
    return lambda root: edit(root, lambda document: document["annotations"][1].update(change))


def _cut(root: Path) -> None:
    image(root).write_bytes(image(root).read_bytes()[:-200])


def _rotten(root: Path) -> None:
    """Damage in the middle, with a sound header and a sound end."""
    data = bytearray(image(root).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff\xd8" * 20
    image(root).write_bytes(data)


def _huge(root: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    image(root).write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))


def _turned(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1).save(image(root), exif=exif)


def _out_of_root(path: Callable[[Path], Path]) -> Callable[[Path], None]:
    def link(root: Path) -> None:
        target = root.parent / f"elsewhere{path(root).suffix}"
        shutil.move(path(root), target)
        path(root).symlink_to(target)

    return link


def _line(text: bytes) -> Callable[[Path], None]:
    def replace(root: Path) -> None:
        lines = (root / "test.jsonl").read_bytes().splitlines()
        lines[1] = text
        (root / "test.jsonl").write_bytes(b"\n".join(lines))

    return replace


def _folder(root: Path) -> None:
    image(root).unlink()
    image(root).mkdir()


QUARANTINED = [
    Case("no such image", "coco", lambda root: image(root).unlink(), "cannot be read: No such file or directory"),
    Case("a folder in its place", "coco", _folder, "cannot be read: Is a directory"),
    Case("an empty image", "coco", lambda root: image(root).write_bytes(b""), "the file is empty; expected JPEG"),
    Case("a page in its place", "coco", lambda root: image(root).write_text("<html>"), "the file is no image that can"),
    Case("a cut image", "coco", _cut, "the image is damaged: image file is truncated"),
    Case("a rotten image", "coco", _rotten, "the image is damaged: ", {"deep": True}),
    Case("a huge image", "coco", _huge, "the image has far more than the 89478485 pixels"),
    Case("a photo on its side", "coco", _turned, "which were made of the image as it is stored, not upright"),
    Case("another size", "coco", _change_image(width=50), "the image has 48×36 pixels, its annotations say 50×36"),
    Case("no size", "coco", _change_image(width=-1), "the entry under 'images' has width -1, expected a positive"),
    Case("a link out of the root", "coco", _out_of_root(image), "is a link out of the folder of the images"),
    Case("a name with ../", "coco", _change_image(file_name="../../1.jpg"), "leaves the folder of the images, which"),
    Case("an absolute name", "coco", _change_image(file_name="/etc/1.jpg"), "leaves the folder of the images, which"),
    Case("a name that is not UTF-8", "coco", _change_image(file_name="\udce9.jpg"), "has file_name '\\udce9.jpg', exp"),
    Case("a box outside", "coco", _change_object(bbox=[40, 0, 20, 9]), "lies outside its image of 48×36 pixels"),
    Case("a negative box", "coco", _change_object(bbox=[5, 5, -2, 9]), "whose width or height is negative"),
    Case("a box of NaN", "coco", _change_object(bbox=[5, 5, float("nan"), 9]), "expected four numbers"),
    Case("a category not listed", "coco", _change_object(category_id=7), "has category_id 7, which is not under 'cat"),
    Case("an outline of nonsense", "coco", _change_object(segmentation=[[1, 2, 3]]), "has a polygon of 3 numbers"),
    Case("missing labels", "ade", lambda root: labels(root).unlink(), "its labels are missing: there is no ADE_val_0"),
    Case("labels alone", "ade", lambda root: image(root).unlink(), "there are labels ADE_val_00000001.png but no im"),
    Case("empty labels", "ade", lambda root: labels(root).write_bytes(b""), "its labels (seg.png): the file is empty"),
    Case(
        "labels of another size",
        "ade",
        lambda root: Image.new("L", (WIDTH, HEIGHT + 1)).save(labels(root)),
        "its labels (seg.png) have 48×37 pixels, the media 48×36",
    ),
    Case(
        "labels with colours",
        "ade",
        lambda root: Image.new("RGB", (WIDTH, HEIGHT)).save(labels(root)),
        "its labels (seg.png): the labels are an image of the kind RGB, expected one channel of numbers",
    ),
    Case(
        "a label above the classes",
        "ade",
        lambda root: Image.new("L", (WIDTH, HEIGHT), 151).save(labels(root)),
        "its labels have the value 151, expected at most 150",
    ),
    Case(
        "labels above a byte",
        "ade",
        lambda root: Image.fromarray(np.full((HEIGHT, WIDTH), 300, np.uint16)).save(labels(root)),
        "the labels reach 300, expected at most 255",
    ),
    Case("linked labels", "ade", _out_of_root(labels), "'ADE_val_00000001.png' is a link out of the folder"),
    Case("a broken line", "qa", _line(b'{"image": "images/1.png", '), "the line cannot be used: Expecting property"),
    Case("a line that is not UTF-8", "qa", _line(b'{"image": "\xff"}'), "the line cannot be used: 'utf-8' codec"),
    Case("no question", "qa", _line(b'{"image": "images/1.png"}'), "its question is None, expected a text"),
    Case("a question without its image", "qa", lambda root: image(root).unlink(), "cannot be read: No such file"),
]


@pytest.mark.parametrize("case", QUARANTINED, ids=lambda case: case.name)
def test_one_bad_sample_is_told_and_left_out(
    case: Case, coco: Path, ade: Path, questions: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "three.yaml"  # as many images as are there: of a part of a set, what is missing is no damage
    whole.write_text(ADE)
    root, dataset = {"coco": (coco, "coco"), "ade": (ade, str(whole)), "qa": (questions, "qa-jsonl")}[case.set]
    case.damage(root)
    request = {"root": root, "samples_per_shard": 2, **case.options}
    with pytest.raises(DatasetError) as refused:
        prepare(dataset, out=tmp_path / "refused", **request)
    assert case.says in str(refused.value)
    assert not (tmp_path / "refused").exists(), "a refusal leaves nothing behind"
    summary = prepare(dataset, out=tmp_path / "s", max_bad=0.4, **request)
    (bad,) = summary.shards.quarantined
    assert case.says in bad.reason
    assert len(bad.reason) < 300
    kept = [pair for number in range(len(summary.shards.shards)) for pair in read_shard(summary.shards, number)]
    assert len(kept) == case.still
    for sample, members in kept:
        assert decode_image(frames_of(members)[0]).shape == (sample.height, sample.width, 3)


def _twice(part: str) -> Callable[[Path], None]:
    return lambda root: edit(root, lambda document: document[part].append({**document[part][0], "file_name": "x.jpg"}))


def _whole(root: Path) -> None:
    """No damage: what is wrong is asked for."""


REFUSED: list[tuple[str, Callable[[Path], object], dict[str, Any], str]] = [
    (
        "no annotation file",
        lambda root: (root / "annotations" / "instances_val2017.json").unlink(),
        {},
        "is not a folder in COCO format: there is no ",
    ),
    ("no images", lambda root: shutil.rmtree(root / "val2017"), {}, "the images of split 'val2017' are missing: there"),
    (
        "cut annotations",
        lambda root: (root / "annotations" / "instances_val2017.json").write_text('{"images": ['),
        {},
        "is not JSON: Expecting value",
    ),
    ("a wrong split", _whole, {"split": "val2014"}, "there is no split 'val2014' in "),
    ("an image id twice", _twice("images"), {}, "uses the same image id more than once: 0; which entry is meant"),
    ("an annotation id twice", _twice("annotations"), {}, "uses the same annotation id more than once: 0; which"),
    ("a category id twice", _twice("categories"), {}, "uses the same category id more than once: 90; which"),
    (
        "two files of one stem",
        _change_image(file_name="000000000000.png"),
        {},
        "lists several files for one sample: coco/val2017/000000000000; file names of a split must differ",
    ),
    (
        "nothing listed",
        lambda root: edit(root, lambda d: [d[k].clear() for k in ("images", "annotations")]),
        {},
        "is empty",
    ),
]


@pytest.mark.parametrize(
    ("damage", "options", "says"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_wrong_as_a_whole_is_refused(
    coco: Path, tmp_path: Path, damage: Callable[[Path], object], options: dict[str, Any], says: str
) -> None:
    damage(coco)
    with pytest.raises(ForesightError) as refused:
        prepare("coco", root=coco, out=tmp_path / "s", max_bad=1, **options)
    assert says in str(refused.value)
    assert not (tmp_path / "s").exists()


UNUSUAL: dict[str, tuple[str, str, dict[str, Any]]] = {
    "grey": ("L", "JPEG", {}),
    "CMYK": ("CMYK", "JPEG", {}),
    "progressive": ("RGB", "JPEG", {"progressive": True}),
    "palette": ("P", "PNG", {}),
    "transparent": ("RGBA", "PNG", {}),
    "one bit": ("1", "PNG", {}),
    "16 bits": ("I;16", "PNG", {}),
    "animated": ("P", "GIF", {"save_all": True, "append_images": [Image.new("P", (WIDTH, HEIGHT))]}),
    "WebP in a .jpg": ("RGB", "WEBP", {}),
    "TIFF": ("RGB", "TIFF", {}),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_an_unusual_image_is_no_damage(coco: Path, tmp_path: Path, kind: str) -> None:
    mode, image_format, options = UNUSUAL[kind]
    unusual = picture(1, "L" if mode == "I;16" else mode)
    if mode == "I;16":
        unusual = Image.fromarray(np.asarray(unusual).astype(np.uint16) * 257)
    unusual.save(image(coco), image_format, **options)
    summary = prepare("coco", root=coco, out=tmp_path / "s", deep=True)
    (_, members) = list(read_shard(summary.shards, 0))[1]
    assert members == {"jpg": image(coco).read_bytes()}, "byte for byte"
    assert decode_image(members["jpg"]).shape == (HEIGHT, WIDTH, 3)
