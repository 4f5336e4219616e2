"""Refuses raw folders whose files and samples do not fit: data that no sample has, and samples that have no data."""

from collections.abc import Collection
from pathlib import Path

from foresight_cache.datasets import FolderRules
from foresight_cache.datasets.inventory import KINDS, Inventory
from foresight_cache.datasets.manifests import Manifest
from foresight_cache.errors import DatasetError
from foresight_cache.preparation.selection import AbsentSamples
from foresight_cache.preparation.spellings import spelled_otherwise


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


def refuse_absent_set(manifest: Manifest, absent: AbsentSamples, inventory: Inventory) -> None:
    """Raises `DatasetError` that says what of a part of a set was sought, and what is there instead."""
    check_spelling(manifest, absent, inventory)
    others = inventory.passed_over.get("not-listed")
    there = f"; below it are media that are not listed: {others}" if others else ""
    raise DatasetError(_none_is_there(manifest, absent, inventory) + there)


def check_spelling(manifest: Manifest, absent: AbsentSamples, inventory: Inventory) -> None:
    """Raises `DatasetError` where no listed file is there, and most are under names that are spelled otherwise."""
    if "not-listed" not in inventory.passed_over:
        return
    if how := spelled_otherwise(Path(inventory.root), absent.file_names):
        raise DatasetError(
            f"{_none_is_there(manifest, absent, inventory)}; {how}; correct the names in the annotations, or rename "
            "the files"
        )


def _none_is_there(manifest: Manifest, absent: AbsentSamples, inventory: Inventory) -> str:
    return (
        f"none of the {len(absent.ids):,} samples of {manifest.name!r} that are listed is in {inventory.root}, such as "
        f"{absent.ids[0]}: {absent.reason}"
    )
