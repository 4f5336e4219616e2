"""Sets of three samples each in several layouts, the second of which is there to be damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 48, 36


def picture(number: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def edit(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = root / "annotations" / "instances_val2017.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def image(root: Path) -> Path:
    """The second image, which is what gets damaged."""
    if (root / "val2017").is_dir():
        return root / "val2017" / "000000000001.jpg"
    return root / ("images/validation/ADE_val_00000001.jpg" if (root / "annotations").is_dir() else "images/1.png")


def labels(root: Path) -> Path:
    return root / "annotations" / "validation" / "ADE_val_00000001.png"
