"""Extraction needs the memory of a few batches, however many samples there are."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.peak_memory import peak_memory
from tests.support.preparing import prepare

FEW, MANY = 64, 1024
SIDE, SIZE = 168, 224
"""Pixels along the side of an image as it is stored, and as the model sees it.

So that what is kept by mistake shows beside a gigabyte of libraries: of all samples, the files are 90 MB, the
pixels 150 MB, the model's inputs 600 MB.
"""


def photographs(root: Path, count: int) -> None:
    """Images of noise in COCO format, all different and none compressed."""
    (root / "train").mkdir(parents=True)
    (root / "annotations").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    for number in range(count):
        picture = np.roll(noise, (number % SIDE, number // SIDE), axis=(0, 1))
        Image.fromarray(picture).save(root / "train" / f"{number:04d}.png", compress_level=0)
    images = [{"id": each, "file_name": f"{each:04d}.png", "width": SIDE, "height": SIDE} for each in range(count)]
    document = {"images": images, "annotations": [], "categories": []}
    (root / "annotations" / "instances_train.json").write_text(json.dumps(document))


def peak(folder: Path, count: int) -> float:
    """Megabytes that `foresight extract` had at most, over so many samples."""
    photographs(folder / "raw", count)
    prepare("coco", root=folder / "raw", split="train", out=folder / "S")
    words = ("extract", folder / "S", "--model", "tiny:qwen2_5_vl", "--points", "E1,E4", "--out", folder / "C")
    return peak_memory(*words, "--size", SIZE)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_extraction_of_many_samples_needs_no_more_memory_than_of_few(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", FEW), peak(tmp_path / "many", MANY)
    print(f"peak memory: {few:.0f} MB over {FEW} samples, {many:.0f} MB over {MANY} ({many / few - 1:+.1%})")
    assert many < 1.1 * few
