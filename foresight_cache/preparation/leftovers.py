"""Refuses what a raw folder holds and no sample has, where it looks like data and was not accepted by name."""

from collections.abc import Collection

from foresight_cache.datasets import FolderRules
from foresight_cache.datasets.inventory import KINDS, Inventory
from foresight_cache.datasets.manifests import Manifest
from foresight_cache.errors import DatasetError


def check_inventory(inventory: Inventory, rules: FolderRules) -> None:
    """Raises `DatasetError` where data would be passed over that the owner has not given up."""
    lost = inventory.lost(rules.pass_over)
    if not lost:
        return
    count = sum(each.count for each in lost.values())
    accept = " ".join(f"--pass-over {kind}" for kind in lost)
    lines = "".join(f"\n  {kind}, {KINDS[kind]}: {each}" for kind, each in lost.items())
    raise DatasetError(
        f"{count:,} of the {inventory.files:,} files below {inventory.root} look like data and would be passed over; "
        f"move or convert them, or accept it with {accept}:{lines}"
    )


def check_not_empty(manifest: Manifest, split: str, samples: Collection[object], inventory: Inventory) -> None:
    """Raises `DatasetError` where a split has no sample, and says what the folder holds instead."""
    if samples:
        return
    if inventory.listed:
        raise DatasetError(
            f"split {split!r} of {manifest.name!r} is empty: its annotations list no samples; "
            "choose another with --split or get the annotations again"
        )
    kinds = "; ".join(f"{KINDS[kind]}: {each}" for kind, each in inventory.passed_over.items())
    holds = f"its {inventory.files:,} files are {kinds}" if inventory.files else "it holds no file at all"
    raise DatasetError(
        f"split {split!r} in {inventory.root} has no {manifest.media} of a suffix that is known: {holds}; "
        "choose another with --split or --root"
    )
