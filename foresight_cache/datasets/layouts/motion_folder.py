"""Clips of moving things with their exact positions, as the generators of synthetic clips write them.

ROOT/motion_<split>.json                  {"frames_per_second", "clips": [{"name", "objects", "action", "tracks"}]}
ROOT/<split>/<name>/00000.png             frames, which decode to the very pixels that were drawn

Clips need neither `action` nor `tracks`.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from foresight_cache.datasets import DEFAULT_RULES, BrokenSample, FolderRules, ListedSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.listed_samples import check_split, unmeasured_sample
from foresight_cache.datasets.parts.safe_paths import path_inside
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.samples import is_safe_name

_FURTHER = ("action", "tracks")
"""Kinds of annotation that a clip may have beside its motion."""


class Reader:
    """Reader of the dataset family `motion_folder`. Sample ids are `<name>/<split>/<name of the clip>`."""

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root
        self._rules = rules

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have a JSON file. Raises `DatasetError` where there is none."""
        names = sorted(path.stem.removeprefix("motion_") for path in self._root.glob("motion_*.json"))
        splits = tuple(name for name in names if is_safe_name(name))
        if not splits:
            raise DatasetError(
                f"{self._root} is not a folder of moving things: there is no motion_<split>.json; "
                "generate the set again"
            )
        return splits

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the JSON. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        path = self._root / f"motion_{split}.json"
        try:
            document = json.loads(path.read_bytes())
            rate, clips = document["frames_per_second"], list(document["clips"])
        except (ValueError, RecursionError, TypeError, KeyError) as error:
            raise DatasetError(f"{path} is not as it was generated: {error}; generate the set again") from None
        for index, clip in enumerate(clips):
            yield self._sample(clip, index, split, rate)

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "clip", samples, listed=True, follow_links=self._rules.follow_links)

    def _sample(self, clip: Any, index: int, split: str, rate: float) -> ListedSample:
        folder = self._root / split
        try:
            if not isinstance(clip, dict):
                raise BadSample(f"the entry {index} under 'clips' is no object")
            path = path_inside(
                folder, clip.get("name"), f"the entry {index} under 'clips'", "name", self._rules.follow_links
            )
        except BadSample as error:
            return BrokenSample(id=f"{self._name}/{split}/clips[{index}]", reason=str(error))
        sample_id = f"{self._name}/{split}/{path.name}"
        annotations = {"motion": {"objects": clip.get("objects")}}
        annotations |= {kind: clip[kind] for kind in _FURTHER if kind in clip}
        return unmeasured_sample(sample_id, self._root, path, "clip", annotations, frames_per_second=rate)
