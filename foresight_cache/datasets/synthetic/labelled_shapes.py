"""Makes scenes like those of `shapes` with a label for every pixel, in the layout of the scene parsing benchmark."""

from pathlib import Path

import numpy as np
from PIL import Image

from foresight_cache.datasets.synthetic import shapes
from foresight_cache.errors import UsageError

TAKES_SOURCE = False
CLASSES = (*shapes.SHAPES, "ground")
"""Names of the labels from 1 on; nothing is unlabelled."""
_QUALITY = 95
"""Quality of the JPEG files, without which the layout knows no images."""


def generate(root: Path, *, count: int, seed: int) -> None:
    """Writes `count` scenes of 448×448 pixels and up to five objects under a root, as `ade20k` reads them.

    Scene `i` depends on the seed and on `i` alone. Raises `UsageError` for a count below 1 or a negative seed.
    """
    if count < 1 or seed < 0:
        raise UsageError(f"{count} scenes with seed {seed} cannot be made; the count is 1 or more, the seed 0 or more")
    images, annotations = root / "images" / shapes.SPLIT, root / "annotations" / shapes.SPLIT
    for folder in (images, annotations):
        folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels, owner, names, _ = shapes.draw_scene(np.random.default_rng([seed, index]), shapes.MOST_OBJECTS)
        labels = np.array([1 + CLASSES.index(name) for name in ("ground", *names)], np.uint8)[owner]
        name = f"{index:08d}"
        # Without chroma subsampling, which would smear colours over the edges that the labels have.
        Image.fromarray(pixels).save(images / f"{name}.jpg", quality=_QUALITY, subsampling=0)
        Image.fromarray(labels).save(annotations / f"{name}.png", compress_level=1)
    rows = [f"{number}\t{name}" for number, name in enumerate(CLASSES, start=1)]
    (root / "objectInfo150.txt").write_text("\n".join(["Idx\tName", *rows]) + "\n", encoding="utf-8")
