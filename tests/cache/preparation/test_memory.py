"""Preparation and extraction need memory for a few megabytes of media, however large a shard of them is."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.made_clips import encode
from tests.support.peak_memory import peak_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
HEIGHT, WIDTH = 240, 320
NOISE = np.random.default_rng(0).integers(0, 256, (8 * HEIGHT, 8 * WIDTH, 3), dtype=np.uint8)
FRAME_BYTES = 3 * HEIGHT * WIDTH
LARGE = 12_000_000
"""Bytes of each sample that is meant to be large."""


def clip(path: Path, number: int, size: int) -> None:
    """Uncompressed frames of noise."""
    rows = (number * 8) % HEIGHT
    frames = [np.roll(NOISE[rows : rows + HEIGHT, :WIDTH], step, axis=1) for step in range(max(1, size // FRAME_BYTES))]
    path.with_suffix(".avi").write_bytes(
        encode(frames, "avi", codec="rawvideo", pixel_format="bgr24", options={"g": "1"})
    )


def frames(path: Path, number: int, size: int) -> None:
    path.mkdir()
    for step in range(max(1, size // FRAME_BYTES)):
        picture = np.roll(NOISE[:HEIGHT, :WIDTH], (number, step), axis=(0, 1))
        Image.fromarray(picture).save(path / f"{step:03d}.bmp")


def image(path: Path, number: int, size: int) -> None:
    height = max(1, size // (3 * 8 * WIDTH))
    Image.fromarray(np.roll(NOISE[:height], number, axis=1)).save(path.with_suffix(".bmp"))


KINDS: dict[str, tuple[str, Callable[[Path, int, int], None]]] = {
    "clips": ("video-folder", clip),
    "folders of frames": ("video-folder", frames),
    "images": ("image-folder", image),
}


def prepared(folder: Path, kind: str, count: int, size: int) -> float:
    """Megabytes that the preparation of so many samples of so many bytes took."""
    layout, make = KINDS[kind]
    (folder / "raw").mkdir(parents=True)
    for number in range(count):
        make(folder / "raw" / f"{number:03d}", number, size)
    return peak_memory("prepare", layout, "--root", folder / "raw", "--out", folder / "S")


def extracted(folder: Path) -> float:
    """Megabytes that the extraction of a prepared set of clips took."""
    how = ("--model", "tiny:qwen2_5_vl", "--points", "E1", "--size", "56", "--frames", "2", "--batch-tokens", "65536")
    return peak_memory("extract", folder / "S", *how, "--out", folder / "C")


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_a_shard_are_never_in_memory_at_once(tmp_path: Path, kind: str) -> None:
    """A shard of 384 MB, of which four or five samples are there at a time."""
    few, many = (prepared(tmp_path / str(size), kind, 32, size) for size in (1, LARGE))
    print(f"peak memory: {few:.0f} MB of small {kind}, {many:.0f} MB of large ones")
    assert many - few < 250


@pytest.mark.slow
def test_shards_of_64_large_clips(tmp_path: Path) -> None:
    """The largest batch holds all clips of a shard, of which one is read at a time by each thread."""
    small, large = ((prepared(tmp_path / str(size), "clips", 128, size), size) for size in (1, LARGE))
    few, many = extracted(tmp_path / "1"), extracted(tmp_path / str(LARGE))
    print(f"peak memory: {small[0]:.0f} and {large[0]:.0f} MB to prepare, {few:.0f} and {many:.0f} MB to extract")
    assert large[0] - small[0] < 300
    assert many - few < 300
