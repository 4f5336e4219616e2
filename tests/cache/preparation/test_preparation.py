"""Preparation end to end: real photographs, scenes, manifests of a user, splits, repetition."""

import contextlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from foresight_cache.errors import DatasetError, ManifestError, UnknownName, UsageError
from foresight_cache.media.images import decode_image
from foresight_cache.shards import open_shards, read_shard
from tests.support.command import foresight, said
from tests.support.preparing import contents, edit, ids, prepare, refusal


def test_the_real_photographs(assets: Path, tmp_path: Path) -> None:
    root = assets / "data" / "coco"
    summary = prepare("coco", root=root, out=tmp_path / "s", samples_per_shard=3)
    assert summary.splits == {"val2017": 4}
    shard_set = open_shards(tmp_path / "s")
    assert [len(shard.ids) for shard in shard_set.shards] == [3, 1]
    annotations = root / "annotations" / "instances_val2017.json"
    listed = {image["id"]: image for image in json.loads(annotations.read_text())["images"]}
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(str(annotations))
    pairs = [pair for number in range(2) for pair in read_shard(shard_set, number)]
    assert [sample.id for sample, _ in pairs] == [f"coco/val2017/{number:012d}" for number in listed]
    for sample, members in pairs:
        assert members == {"jpg": (root / sample.file_name).read_bytes()}
        assert decode_image(members["jpg"]).shape == (sample.height, sample.width, 3)
        theirs = reference.loadAnns(reference.getAnnIds(imgIds=[int(Path(sample.file_name).stem)]))
        boxes = [[x, y, x + width, y + height] for x, y, width, height in (each["bbox"] for each in theirs)]
        assert [each["box"] for each in sample.annotations["objects"]] == [pytest.approx(box) for box in boxes]


def test_generated_scenes(tmp_path: Path, pristine: Path) -> None:
    summary = prepare("shapes", out=tmp_path / "s", limit=6, seed=1, samples_per_shard=4)
    assert ids(summary) == [f"shapes/train/{number:012d}" for number in range(6)]
    assert sorted(contents(tmp_path / "s")) == ["index.json", "shard-000000.tar", "shard-000001.tar"]
    for number in range(2):
        for sample, members in read_shard(summary.shards, number):
            assert members == {"png": (pristine / sample.file_name).read_bytes()}
    assert summary.shards.request == {"seed": 1, "limit": 6}


def test_the_manifests_count_is_the_default(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    text = "name: few\ntitle: a\nfamily: coco\nmedia: image\nannotations: [objects]\nlicence: a\nobtain: a\n"
    own.write_text(text + "generator: shapes\ncount: 3\nsplits: [train]\n")
    assert len(ids(prepare(str(own), out=tmp_path / "s"))) == 3


def test_a_users_own_manifest_and_groups(raw: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    text = "name: mine\ntitle: a\nfamily: coco\nmedia: image\nannotations: [objects]\nlicence: a\nobtain: a\n"
    own.write_text(text + "group: '0000000000(0[0-3])'\n")
    summary = prepare(str(own), root=raw, out=tmp_path / "s")
    groups = [sample.group for sample, _ in read_shard(summary.shards, 0)]
    assert groups == [f"mine/0{n}" for n in range(4)] + [f"mine/train/{n:012d}" for n in (4, 5)]
    assert summary.shards.dataset == "mine"


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("0000000000(0)", "6 samples in 1 groups"),
        (
            "0000000000(0[0-3])",
            "6 samples in 6 groups; group '0000000000(0[0-3])' is not found in the names of 2, which",
        ),
        ("0*([0-9]+)", "6 samples in 6 groups; group '0*([0-9]+)' makes a group of each"),
    ],
)
def test_what_a_pattern_of_groups_does_is_said(raw: Path, tmp_path: Path, pattern: str, line: str) -> None:
    own = tmp_path / "own.yaml"
    text = "name: mine\ntitle: a\nfamily: coco\nmedia: image\nannotations: [objects]\nlicence: a\nobtain: a\n"
    own.write_text(f"{text}group: '{pattern}'\n")
    run = foresight("prepare", own, "--root", raw, "--out", tmp_path / "s")
    assert run.stdout.splitlines()[1].startswith(line)


@pytest.mark.parametrize("pattern", ["Video-(\\d+)_", "^(\\d+)$", "(\\d+)\\.JPG"])
def test_a_pattern_of_groups_that_is_found_nowhere(raw: Path, tmp_path: Path, pattern: str) -> None:
    own = tmp_path / "own.yaml"
    text = "name: mine\ntitle: a\nfamily: coco\nmedia: image\nannotations: [objects]\nlicence: a\nobtain: a\n"
    own.write_text(f"{text}group: '{pattern}'\n")
    words = said("prepare", own, "--root", raw, "--out", tmp_path / "s", status=1)
    assert f"group {pattern!r} of the manifest 'mine' matches none of the 6 file names, such as " in words
    assert not (tmp_path / "s").exists()


def test_splits_and_limits(raw: Path, tmp_path: Path) -> None:
    edit(raw, lambda document: document["images"].reverse())
    (raw / "val").mkdir()
    one = {"id": 1, "file_name": "a.png", "width": 5, "height": 4}
    (raw / "annotations" / "instances_val.json").write_text(
        json.dumps({"images": [one], "annotations": [], "categories": []})
    )
    Image.new("RGB", (5, 4)).save(raw / "val" / "a.png")
    assert prepare("coco", root=raw, out=tmp_path / "all").splits == {"train": 6, "val": 1}
    assert ids(prepare("coco", root=raw, out=tmp_path / "val", split="val")) == ["coco/val/a"]
    two = prepare("coco", root=raw, out=tmp_path / "two", limit=2)
    assert ids(two) == ["coco/train/000000000005", "coco/train/000000000004"]


def test_the_same_request_gives_the_same_bytes(raw: Path, tmp_path: Path) -> None:
    for path in (raw / "train").iterdir():
        os.utime(path, (1, 1))
    prepare("coco", root=raw, out=tmp_path / "a")
    for path in (raw / "train").iterdir():
        os.utime(path, (2, 2))
    prepare("coco", root=raw, out=tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_progress_counts_every_sample_and_its_bytes(raw: Path, tmp_path: Path) -> None:
    (raw / "train" / "000000000002.png").unlink()
    seen: list[tuple[int, int]] = []
    prepare("coco", root=raw, out=tmp_path / "s", max_bad=1, advance=lambda count, size: seen.append((count, size)))
    assert sum(count for count, _ in seen) == 6
    assert sum(size for _, size in seen) == sum(path.stat().st_size for path in (raw / "train").iterdir())


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        ({"dataset": "cocoo"}, UnknownName, "unknown dataset 'cocoo'; did you mean 'coco'"),
        ({"dataset": "no/such.yaml"}, ManifestError, "there is no manifest at no/such.yaml; expected a YAML file"),
        ({"root": None}, UsageError, "'coco' is read from a folder that you have: give it with --root.\nAny detection"),
        ({"dataset": "shapes"}, UsageError, "'shapes' is generated and reads no folder; leave --root out"),
        (
            {"dataset": "shapes", "root": None, "split": "trian"},
            UnknownName,
            "unknown split of 'shapes' 'trian'; did you",
        ),
        ({"seed": 3}, UsageError, "--seed is 3, but 'coco' is not generated, so that a seed changes nothing"),
        ({"limit": 0}, UsageError, "--limit is 0, expected 1 or more"),
        ({"samples_per_shard": 0}, UsageError, "--samples-per-shard is 0, expected 1 or more"),
        ({"max_bad": 5}, UsageError, "--max-bad is 5, expected a share from 0 to 1, such as 0.01"),
        ({"max_bad": float("nan")}, UsageError, "--max-bad is nan, expected a share from 0 to 1, such as 0.01"),
        ({"split": "val"}, DatasetError, "there is no split 'val' in {raw}; splits there: train"),
        ({"root": Path("/no/such")}, DatasetError, "there is no folder /no/such; expected ROOT/annotations/"),
    ],
)
def test_wrong_requests_touch_nothing(
    raw: Path, tmp_path: Path, request_: dict[str, Any], kind: type[Exception], message: str
) -> None:
    text = refusal(kind, **{"root": raw, "out": tmp_path / "s", **request_})
    assert text.startswith(message.replace("{raw}", str(raw)))
    assert not (tmp_path / "s").exists()


def test_unusual_images_travel_as_they_are(raw: Path, tmp_path: Path) -> None:
    """CMYK, 16-bit, palette and animated images keep their bytes and decode to what their header says."""
    folder = raw / "train"
    Image.new("CMYK", (448, 448), (0, 255, 255, 0)).save(folder / "cmyk.jpg")
    Image.fromarray(np.full((448, 448), 65535, np.uint16)).save(folder / "deep.png")
    Image.new("P", (448, 448)).save(
        folder / "palette.gif", save_all=True, append_images=[Image.new("P", (448, 448), 1)]
    )
    names = ["cmyk.jpg", "deep.png", "palette.gif"]

    def rename(document: dict[str, Any]) -> None:
        for image, name in zip(document["images"], names, strict=False):
            image["file_name"] = name

    edit(raw, rename)
    summary = prepare("coco", root=raw, out=tmp_path / "s")
    pairs = list(read_shard(summary.shards, 0))[:3]
    for name, (sample, members) in zip(names, pairs, strict=True):
        (data,) = members.values()
        assert data == (folder / name).read_bytes()
        assert decode_image(data).shape == (sample.height, sample.width, 3)
    with tarfile.open(tmp_path / "s" / "shard-000000.tar") as tar:
        assert {"000000000.jpg", "000000001.png", "000000002.gif"} < set(tar.getnames())
