"""Writes clips of moving things and their exact positions in the layout that `motion_folder` reads."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from foresight_cache.media.images import Pixels

SPLIT = "train"


def write_motion(
    root: Path, clips: Iterable[tuple[Iterable[Pixels], Mapping[str, Any]]], frames_per_second: float
) -> None:
    """Writes clips under a root, each given as its frames [H, W, 3] and what is said of it.

    That is `objects`, those that move, and if wished `action` and `tracks`, as the schema of annotations has them.
    """
    entries = []
    for number, (frames, said) in enumerate(clips):
        name = f"{number:06d}"
        folder = root / SPLIT / name
        folder.mkdir(parents=True, exist_ok=True)
        for index, pixels_HWC in enumerate(frames):
            Image.fromarray(pixels_HWC).save(folder / f"{index:05d}.png", compress_level=1)
        entries.append({"name": name, **said})
    document = {"frames_per_second": frames_per_second, "clips": entries}
    (root / f"motion_{SPLIT}.json").write_text(json.dumps(document), encoding="utf-8")
