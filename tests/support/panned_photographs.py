"""Clips with true masks, made of real photographs: a window that moves over a photograph and comes nearer."""

from pathlib import Path

import numpy as np
from PIL import Image

OBJECTS = 3
"""Labels of a photograph that are objects of its clip: those that cover the most of the first frame."""


def write_davis(assets: Path, root: Path, *, frames: int = 6, side: int = 280) -> Path:
    """Writes a clip of each photograph of ADE20K among the assets in the layout of DAVIS 2017, and returns the root."""
    folder = assets / "data" / "ADEChallengeData2016"
    names = sorted(path.stem for path in (folder / "images" / "validation").glob("*.jpg"))
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("".join(f"{name}\n" for name in names))
    for name in names:
        picture = Image.open(folder / "images" / "validation" / f"{name}.jpg").convert("RGB")
        labels = Image.open(folder / "annotations" / "validation" / f"{name}.png")
        windows = [_window(picture.size, step / (frames - 1)) for step in range(frames)]
        pictures = [picture.crop(window).resize((side, side), Image.Resampling.BICUBIC) for window in windows]
        masks = [
            np.asarray(labels.crop(window).resize((side, side), Image.Resampling.NEAREST)).astype(int)
            for window in windows
        ]
        numbers, counts = np.unique(masks[0][masks[0] > 0], return_counts=True)
        objects = numbers[np.argsort(-counts, kind="stable")][1 : 1 + OBJECTS]  # the largest is wall, sky or the like
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / "480p" / name).mkdir(parents=True)
        for step, (frame, mask) in enumerate(zip(pictures, masks, strict=True)):
            frame.save(root / "JPEGImages" / "480p" / name / f"{step:05d}.jpg", quality=95)
            numbered = sum((number + 1) * (mask == label) for number, label in enumerate(objects))
            Image.fromarray(np.asarray(numbered).astype(np.uint8)).save(
                root / "Annotations" / "480p" / name / f"{step:05d}.png"
            )
    return root


def _window(size: tuple[int, int], progress: float) -> tuple[int, int, int, int]:
    """A square that goes from the left to the right, while its side shrinks from 0.7 to 0.55 of the lesser one."""
    side = round((0.7 - 0.15 * progress) * min(size))
    left, top = round((0.05 + 0.25 * progress) * (size[0] - side)), round(0.5 * (size[1] - side))
    return left, top, left + side, top + side
