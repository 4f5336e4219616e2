"""Counts the files of a raw folder: each below it is taken, refused by name, or passed over by a named rule."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from foresight_cache.datasets import ListedSample, RawSample
from foresight_cache.datasets.inventory import DATA_KINDS, Inventory
from foresight_cache.datasets.parts.file_kinds import is_frame, is_hidden, kind_of_unused, suffix_of
from foresight_cache.datasets.parts.folder_walk import walk
from foresight_cache.datasets.parts.frame_names import flow_images, step_of
from foresight_cache.datasets.parts.safe_paths import name_below
from foresight_cache.samples import Media


def take_inventory(
    root: Path,
    media: Media,
    samples: Iterable[ListedSample],
    *,
    listed: bool,
    other_splits: Collection[str] = (),
    entered: Collection[str] = (),
    follow_links: Sequence[Path] = (),
) -> Inventory:
    """Counts every file below the root once. Raises `DatasetError` for a folder that cannot be read.

    `listed` tells whether annotations list the samples, `other_splits` are folders in the root of splits that were not
    asked for, `entered` those that are walked though they are links, and `follow_links` where links may lead to.
    """
    inventory = Inventory(root=root, listed=listed)
    taken, refused = _paths(root, samples)
    for folder in walk(root, {*entered, *taken, *_above(taken)}, follow_links):
        prefix = folder.prefix
        frames = {name for name in folder.files if is_frame(name)} if prefix[:-1] in taken else set()
        flow = flow_images(frames)
        if step := step_of(frames - flow):
            inventory.steps[prefix[:-1]] = step
        hidden = any(map(is_hidden, prefix.split("/")[:-1]))
        unasked = prefix.partition("/")[0] in other_splits
        for name in folder.linked_folders:
            inventory.refused += 1
            refused.discard(prefix + name)
        for name in folder.files:
            path = prefix + name
            if name in flow:
                inventory.pass_over("flow", path, suffix_of(name))
            elif path in taken or name in frames:
                inventory.taken += 1
            elif path in refused or prefix[:-1] in refused:
                inventory.refused += 1
            elif hidden or is_hidden(name):
                inventory.pass_over("hidden", path, suffix_of(name))
            else:
                kind = kind_of_unused(name, media, listed=listed)
                kind = "other-splits" if unasked and kind in DATA_KINDS else kind
                inventory.pass_over(kind, path, suffix_of(name))
    return inventory


def _paths(root: Path, samples: Iterable[ListedSample]) -> tuple[set[str], set[str]]:
    """Returns the files and folders of samples as paths below the root: of usable ones, and of others."""
    taken: set[str] = set()
    refused: set[str] = set()
    for listed in samples:
        if isinstance(listed, RawSample):
            taken.add(listed.sample.file_name)  # it is known; the path would have to be made a text first
            if listed.labels is not None:
                taken.add(name_below(root, listed.labels))
        else:
            refused.update(name_below(root, path) for path in (listed.path, listed.labels) if path is not None)
    return taken, refused


def _above(paths: Iterable[str]) -> set[str]:
    """Returns the folders below the root that these lie in."""
    above: set[str] = set()
    for path in paths:
        folder = path
        while (folder := folder.rpartition(os.sep)[0]) and folder not in above:
            above.add(folder)
    return above
