"""Clips of moving things with their exact positions, as the generators of synthetic clips write them.

ROOT/motion_<split>.json                  {"frames_per_second", "clips": [{"name", "objects"}]}
ROOT/<split>/<name>/00000.png             frames, which decode to the very pixels that were drawn
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.parts.safe_paths import inside
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.media.images import Pixels
from foresight_cache.samples import Sample, is_safe_name

SPLIT = "train"


class Reader:
    """The dataset family `motion_folder`. Sample ids are `<name>/<split>/<name of the clip>`."""

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    def splits(self) -> tuple[str, ...]:
        """Raises `DatasetError` where there is none."""
        names = sorted(path.stem.removeprefix("motion_") for path in self._root.glob("motion_*.json"))
        splits = tuple(name for name in names if is_safe_name(name))
        if not splits:
            raise DatasetError(f"{self._root} holds no moving things: there is no motion_<split>.json")
        return splits

    def samples(self, split: str) -> Iterator[RawSample | BrokenSample]:
        """In the order of the JSON. Raises `DatasetError`."""
        if split not in (splits := self.splits()):
            raise DatasetError(f"{self._root} has no split {split!r}; splits there: {', '.join(splits)}")
        path = self._root / f"motion_{split}.json"
        try:
            document = json.loads(path.read_bytes())
            rate, clips = document["frames_per_second"], list(document["clips"])
        except (ValueError, RecursionError, TypeError, KeyError) as error:
            raise DatasetError(f"{path} is not as it was generated: {error}; generate the set again") from None
        for index, clip in enumerate(clips):
            yield self._record(clip, index, split, rate)

    def _record(self, clip: Any, index: int, split: str, rate: float) -> RawSample | BrokenSample:
        folder = self._root / split
        try:
            if not isinstance(clip, dict):
                raise BadSample(f"the entry {index} under 'clips' is no object")
            path = inside(folder, clip.get("name"), f"the entry {index} under 'clips'", "name")
        except BadSample as error:
            return BrokenSample(id=f"{self._name}/{split}/clips[{index}]", reason=str(error))
        sample = Sample(
            id=f"{self._name}/{split}/{path.name}",
            dataset=self._name,
            split=split,
            group=f"{self._name}/{split}/{path.name}",
            media="clip",
            file_name=path.relative_to(self._root).as_posix(),
            width=0,
            height=0,
            frames_per_second=rate,
            annotations={"motion": {"objects": clip.get("objects")}},
        )
        return RawSample(sample=sample, path=path)


def write(root: Path, clips: Iterable[tuple[Iterable[Pixels], list[dict[str, Any]]]], frames_per_second: float) -> None:
    """Write clips under a root, each given as its frames [H, W, 3] and its objects."""
    listed = []
    for number, (frames, objects) in enumerate(clips):
        name = f"{number:06d}"
        folder = root / SPLIT / name
        folder.mkdir(parents=True, exist_ok=True)
        for place, pixels in enumerate(frames):
            Image.fromarray(pixels).save(folder / f"{place:05d}.png", compress_level=1)
        listed.append({"name": name, "objects": objects})
    document = {"frames_per_second": frames_per_second, "clips": listed}
    (root / f"motion_{SPLIT}.json").write_text(json.dumps(document), encoding="utf-8")
