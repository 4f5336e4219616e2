"""Many different pictures: crops of a few real photographs, and made ones that need no assets."""

from pathlib import Path

import numpy as np
from PIL import Image

Pictures = list[np.ndarray]


def crops(assets: Path, count: int, side: int, seed: int = 0) -> Pictures:
    """Square crops of the real photographs among the assets, uint8 [side, side, 3], each of another place and size."""
    draw, files = np.random.default_rng(seed), sorted((assets / "data/coco/val2017").glob("*.jpg"))
    files += sorted((assets / "data/ADEChallengeData2016/images").glob("*/*.jpg"))
    photographs = [Image.open(file).convert("RGB") for file in files]
    pictures = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        size = int(draw.uniform(0.3, 0.8) * min(photograph.size))
        left, top = (int(draw.integers(0, length - size)) for length in photograph.size)
        pictures.append(np.asarray(photograph.crop((left, top, left + size, top + size)).resize((side, side))))
    return pictures


def clouds(count: int, side: int, seed: int = 0) -> Pictures:
    """Coloured noise of several scales, uint8 [side, side, 3], in which near things are alike as in photographs."""
    draw, pictures = np.random.default_rng(seed), []
    for _ in range(count):
        total = np.zeros((side, side, 3))
        for cells, height in ((3, 90), (8, 60), (24, 30)):
            coarse = Image.fromarray(draw.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            total += (
                np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float64) / 255 - 0.5
            ) * height
        pictures.append((128 + total).clip(0, 255).astype(np.uint8))
    return pictures
