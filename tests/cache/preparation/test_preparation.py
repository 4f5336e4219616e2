"""Preparation end to end: real photographs, scenes, damage, interruption, repetition."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from foresight_cache.datasets.synthetic import shapes
from foresight_cache.errors import DatasetError, ManifestError, ShardError, UnknownName, UsageError
from foresight_cache.media.images import decode_image
from foresight_cache.preparation import expectations
from foresight_cache.preparation.prepare import PreparationSummary
from foresight_cache.shards import open_shards, read_shard
from tests.support.preparing import prepare


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


def edit(raw: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = raw / "annotations" / "instances_train.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def refusal(kind: type[Exception], **request: Any) -> str:
    with pytest.raises(kind) as caught:
        prepare(request.pop("dataset", "coco"), **request)
    return str(caught.value)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def ids(summary: PreparationSummary) -> list[str]:
    return [each for shard in summary.shards.shards for each in shard.ids]


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


def test_a_second_run_changes_nothing(raw: Path, tmp_path: Path) -> None:
    first = prepare("coco", root=raw, out=tmp_path / "s")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    for path in (raw / "train").iterdir():
        path.unlink()  # the media are not read again
    second = prepare("coco", root=raw, out=tmp_path / "s")
    assert (first.already_there, second.already_there) == (False, True)
    assert second.shards == first.shards
    assert second.splits == first.splits
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()} == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"limit": 3}, "--limit not given, not 3"),
        ({"samples_per_shard": 5}, "--samples-per-shard 64, not 5"),
        ({"split": "train"}, "--split not given, not 'train'"),
        ({"dataset": "shapes", "root": None}, "dataset 'coco', not 'shapes'"),
    ],
)
def test_another_request_into_the_same_place_is_refused(
    raw: Path, tmp_path: Path, change: dict[str, Any], difference: str
) -> None:
    prepare("coco", root=raw, out=tmp_path / "s")
    before = contents(tmp_path / "s")
    request = {"root": raw, "out": tmp_path / "s", **change}
    assert refusal(UsageError, **request) == (
        f"{tmp_path}/s already holds shards with {difference}; choose another --out"
    )
    assert contents(tmp_path / "s") == before


def test_another_seed_or_other_annotations_are_refused(raw: Path, tmp_path: Path) -> None:
    prepare("shapes", out=tmp_path / "a", limit=1)
    assert "--limit 1, but now it is not given; choose" in refusal(UsageError, dataset="shapes", out=tmp_path / "a")
    assert "--seed 0, not 5" in refusal(UsageError, dataset="shapes", out=tmp_path / "a", limit=1, seed=5)
    prepare("coco", root=raw, out=tmp_path / "b")
    edit(raw, lambda document: document["annotations"][0].update(area=1))
    assert refusal(UsageError, root=raw, out=tmp_path / "b") == (
        f"{tmp_path}/b already holds shards of other annotations than {raw} has; choose another --out"
    )


def test_a_place_that_holds_something_else_is_left_alone(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    for name in ("a.txt", "b.txt", "c.txt", "shard-000000.tar"):
        (out / name).write_text("years of work")
    before = contents(out)
    assert refusal(UsageError, root=raw, out=out) == (
        f"{out} already holds something else (a.txt, b.txt, c.txt, …); choose a new or empty folder for --out"
    )
    assert contents(out) == before
    assert refusal(UsageError, root=raw, out=out / "a.txt") == (
        f"{out}/a.txt is not a folder; choose a new folder for --out"
    )


def test_a_damaged_result_is_told(raw: Path, tmp_path: Path) -> None:
    prepare("coco", root=raw, out=tmp_path / "s")
    (tmp_path / "s" / "shard-000000.tar").write_bytes(b"")
    assert "has 0 bytes" in refusal(ShardError, root=raw, out=tmp_path / "s")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (448, 300)).save(path, exif=exif)


def _linked(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere.png"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "train/000000000002.png cannot be read: No such file or directory"),
        (_folder, "train/000000000002.png cannot be read: Is a directory"),
        (_loop, ""),
        (lambda path: path.write_bytes(b""), "train/000000000002.png: the file is empty; expected JPEG, PNG"),
        (lambda path: path.write_bytes(b"<html>"), "train/000000000002.png: the file is no image that can be read"),
        (_cut, "train/000000000002.png: the image is damaged: "),
        (
            lambda path: Image.new("RGB", (9, 8)).save(path),
            "train/000000000002.png: the image has 9×8 pixels, its annotations say 448×448",
        ),
        (_turned, "train/000000000002.png: the image has 300×448 pixels, its annotations say 448×448"),
        (_linked, "file_name '000000000002.png' is a link out of the folder of the images, which is not followed"),
    ],
)
def test_a_bad_image_is_quarantined_with_the_reason(
    raw: Path, tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(raw / "train" / "000000000002.png")
    summary = prepare("coco", root=raw, out=tmp_path / "s", max_bad=0.2, samples_per_shard=2)
    (bad,) = open_shards(tmp_path / "s").quarantined
    assert bad.id == "coco/train/000000000002"
    assert bad.reason.startswith(reason)
    assert ids(summary) == [f"coco/train/{number:012d}" for number in (0, 1, 3, 4, 5)]
    assert [len(shard.ids) for shard in summary.shards.shards] == [2, 2, 1]


def test_annotations_of_the_unturned_photo_are_told(raw: Path, tmp_path: Path) -> None:
    path = raw / "train" / "000000000002.png"
    _turned(path)
    edit(raw, lambda document: document["images"][2].update(width=448, height=300) or document["annotations"].clear())
    summary = prepare("coco", root=raw, out=tmp_path / "s", max_bad=0.2)
    assert summary.shards.quarantined[0].reason == (
        "train/000000000002.png: the image has 300×448 pixels, its annotations say 448×300, "
        "which were made of the image as it is stored, not upright"
    )


def test_too_many_bad_samples_stop_it(raw: Path, tmp_path: Path) -> None:
    (raw / "train" / "000000000002.png").unlink()
    edit(raw, lambda document: document["images"][4].update(width=-1))
    assert refusal(DatasetError, root=raw, out=tmp_path / "s", max_bad=0.3) == (
        "2 of 6 samples of 'coco' cannot be used, --max-bad 0.3 allows 1; "
        "mend them, or leave them out with --max-bad 0.34:\n"
        "  coco/train/000000000002: train/000000000002.png cannot be read: No such file or directory\n"
        "  coco/train/000000000004: the entry under 'images' has width -1, expected a positive integer"
    )
    assert not (tmp_path / "s").exists()
    assert len(ids(prepare("coco", root=raw, out=tmp_path / "s", max_bad=0.34))) == 4
    assert "--max-bad 0 allows 0" in refusal(DatasetError, root=raw, out=tmp_path / "s")


def test_many_bad_samples_are_counted_and_none_left_is_said(raw: Path, tmp_path: Path) -> None:
    for path in (raw / "train").iterdir():
        path.unlink()
    message = refusal(DatasetError, root=raw, out=tmp_path / "s", max_bad=1)
    assert message.startswith(
        "6 of 6 samples of 'coco' cannot be used, --max-bad 1 allows 6; none is left:\n  coco/train"
    )
    assert message.endswith("\n  … and 1 more")


def test_a_share_is_counted_exactly(raw: Path, tmp_path: Path) -> None:
    """0.58 × 50 is 28.999999999999996 in floating point, and 29 samples are 0.58 of 50."""

    def thin_out(document: dict[str, Any]) -> None:
        document["annotations"].clear()
        document["images"] = [
            {"id": number, "file_name": f"{number}.png", "width": 5 if number >= 29 else -1, "height": 4}
            for number in range(50)
        ]

    edit(raw, thin_out)
    for number in range(50):
        Image.new("RGB", (5, 4)).save(raw / "train" / f"{number}.png")
    assert len(ids(prepare("coco", root=raw, out=tmp_path / "s", max_bad=0.58))) == 21


@given(bad=st.integers(1, 200), good=st.integers(1, 200_000))
def test_the_suggested_share_is_enough(bad: int, good: int) -> None:
    share = float(expectations._share_above(bad, bad + good))
    assert bad <= int(share * (bad + good) + 1e-9)
    assert share <= 1.11 * bad / (bad + good) + 0.01


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


def test_an_empty_split_is_told(raw: Path, tmp_path: Path) -> None:
    edit(raw, lambda document: [document[key].clear() for key in ("images", "annotations")])
    assert refusal(DatasetError, root=raw, out=tmp_path / "s") == (
        "split 'train' of 'coco' is empty: its annotations list no samples; "
        "choose another with --split or get the annotations again"
    )
    assert not (tmp_path / "s").exists()


def test_a_failure_leaves_an_existing_folder_empty(raw: Path, tmp_path: Path) -> None:
    (raw / "annotations" / "instances_train.json").write_text("{")
    (tmp_path / "s").mkdir()
    assert "is not JSON" in refusal(DatasetError, root=raw, out=tmp_path / "s")
    assert list((tmp_path / "s").iterdir()) == []


def child(out: Path, before: str = "") -> subprocess.Popen[bytes]:
    """A preparation of 400 scenes in another process."""
    program = (
        f"{before}\nfrom pathlib import Path\nfrom tests.support.preparing import prepare\n"
        f"prepare('shapes', out=Path({str(out)!r}), limit=60, samples_per_shard=4)"
    )
    return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.005)


# Slow writing, so that the signal surely comes in between.
SLOW = """
import time
from foresight_cache.preparation import prepare
write = prepare.write_shard
prepare.write_shard = lambda *arguments: (time.sleep(0.2), write(*arguments))[1]
"""


@pytest.mark.slow
def test_a_killed_preparation_is_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "s"
    process = child(out, SLOW)
    for number in (0, 1, 2):  # two are written at a time, so that the first need not be the first to be there
        wait_for(out / f"shard-{number:06d}.tar", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with pytest.raises(ShardError, match="is not finished: it has no index"):
        open_shards(out)
    (out / "shard-000099.tar").write_bytes(b"left by a larger attempt")
    finished = (out / "shard-000000.tar").stat().st_mtime_ns
    prepare("shapes", out=out, limit=60, samples_per_shard=4)
    assert (out / "shard-000000.tar").stat().st_mtime_ns == finished, "what is done is not done again"
    prepare("shapes", out=tmp_path / "undisturbed", limit=60, samples_per_shard=4)
    assert contents(out) == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_two_preparations_into_one_place(tmp_path: Path) -> None:
    out = tmp_path / "s"
    process = child(out, SLOW)
    wait_for(out / "shard-000000.tar", process)
    assert refusal(ShardError, dataset="shapes", out=out, limit=60, samples_per_shard=4) == (
        f"another process is preparing into {out}; wait for it or choose another --out"
    )
    assert process.wait() == 0, process.communicate()
    assert prepare("shapes", out=out, limit=60, samples_per_shard=4).already_there


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A bound on the size of files stands in for the disk: the write fails in the same place."""
    full = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))"
    process = child(tmp_path / "s", full)
    _, said = process.communicate()
    assert process.returncode == 1
    assert b"OSError: [Errno 27] File too large" in said
    assert not (tmp_path / "s").exists()


def test_locks_are_not_needed_where_there_are_none(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert len(ids(prepare("coco", root=raw, out=tmp_path / "s"))) == 6


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
