"""Measures packing of images against plain tars of the same files, by Python's `tarfile` and by GNU tar if installed.

The images are JPEG files of the size of COCO's, packed alone and with seven boxes each. A tar is done when its writer
returns; a preparation also waits for the disk, so tars are shown with and without.
"""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.preparation.prepare_dataset import prepare
from foresight_cache.preparation.selection import SampleSelection
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure, medians

TAKES_GIVEN = False
_HEIGHT, _WIDTH = 480, 640
_OBJECTS = 7
_ROUNDS = 5


def run(folder: Path, *, quick: bool, given: Given) -> list[Figure]:  # noqa: ARG001 - takes nothing
    """Writes 300 MB of images, or 60 MB if quick, and as much again."""
    raw = folder / "raw"
    size = _draw(raw, 400 if quick else 2000)
    out = folder / "out"
    tars: dict[str, Callable[[], object]] = {
        "Python's tarfile": lambda: _tarfile(raw, out),
        "Python's tarfile and a wait for the disk": lambda: _synced(_tarfile(raw, out)),
    }
    if shutil.which("tar"):
        tars["GNU tar"] = lambda: _gnu_tar(raw, out)
        tars["GNU tar and a wait for the disk"] = lambda: _synced(_gnu_tar(raw, out))
    options = PreparationOptions(root=raw)
    ours: dict[str, Callable[[], object]] = {
        "images alone": lambda: prepare("image-folder", out, options),
        "images with boxes": lambda: prepare("coco", out, options),
    }
    prepare("coco", out, replace(options, selection=SampleSelection(limit=16)))  # reads all there is to import
    ways = {**ours, **tars}
    seconds = dict(zip(ways, medians(list(ways.values()), _ROUNDS, before=lambda: _emptied(out)), strict=True))
    return [
        Figure(
            name=f"rate of packing {mine} to {tar}",
            value=seconds[tar] / seconds[mine],
            target=">= 0.7" if mine == "images alone" else "",
            detail=f"{size / 1e6 / seconds[mine]:,.0f} MB/s to {size / 1e6 / seconds[tar]:,.0f} MB/s",
        )
        for mine in ours
        for tar in tars
    ]


def _draw(raw: Path, count: int) -> int:
    """Draws a folder in COCO format; returns the bytes of its images."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (_HEIGHT // 4, _WIDTH // 4, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((_WIDTH, _HEIGHT), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    (raw / "train").mkdir(parents=True)
    (raw / "annotations").mkdir()
    size = 0
    for number in range(count):
        # A comment of its own makes each file another one, and of another size, without drawing each.
        comment = f"{number} ".encode() * (1 + number % 5000)
        data = b"\xff\xd8\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + stream.getvalue()[2:]
        (raw / "train" / f"{number:012d}.jpg").write_bytes(data)
        size += len(data)
    boxes = [[10.5 * index, 8.25 * index, 100.5, 90.25] for index in range(_OBJECTS)]
    document = {
        "images": [
            {"id": number, "file_name": f"{number:012d}.jpg", "width": _WIDTH, "height": _HEIGHT}
            for number in range(count)
        ],
        "annotations": [
            {
                "id": _OBJECTS * number + index,
                "image_id": number,
                "category_id": 1,
                "bbox": box,
                "area": 9.5,
                "iscrowd": 0,
            }
            for number in range(count)
            for index, box in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (raw / "annotations" / "instances_train.json").write_text(json.dumps(document))
    return size


def _emptied(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    os.sync()  # what the way before left to be written must not be waited for by this one


def _tarfile(raw: Path, out: Path) -> Path:
    with tarfile.open(out / "plain.tar", "w") as tar:
        for path in _files(raw):
            tar.add(path, arcname=path.name)
    return out / "plain.tar"


def _gnu_tar(raw: Path, out: Path) -> Path:
    names = [path.name for path in _files(raw)]
    arguments = [
        "tar",
        "--create",
        "--file",
        str(out / "plain.tar"),
        "--directory",
        str(raw / "train"),
        "--files-from=-",
    ]
    subprocess.run(arguments, input="\n".join(names).encode(), check=True)  # noqa: S603 - the user's own tar
    return out / "plain.tar"


def _files(raw: Path) -> Sequence[Path]:
    return sorted((raw / "train").iterdir())


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
