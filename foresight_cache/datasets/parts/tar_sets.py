"""Finds the tars of a WebDataset: in a folder, or by a pattern such as `shards/{00000..00099}.tar`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from webdataset.shardlists import expand_urls

from foresight_cache.datasets import FolderRules
from foresight_cache.datasets.parts.class_folder_doubts import check_split_folders
from foresight_cache.datasets.parts.class_folders import ALL
from foresight_cache.datasets.parts.file_kinds import SPLITS, is_hidden, split_name, suffix_of
from foresight_cache.datasets.parts.folder_walk import walk
from foresight_cache.datasets.parts.safe_paths import check_stays_inside
from foresight_cache.errors import BadSample, DatasetError

_LAYOUT = "expected a folder of tars, one tar, or a pattern such as shards/{00000..00099}.tar"
_COMPRESSED = re.compile(r".*\.(tar\.(gz|bz2|xz|zst|lz4|z)|tgz|tbz2?|txz)", re.IGNORECASE)
_MOST = 3
"""Names that a sentence lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TarSet:
    """Tars by split, and the files beside them."""

    root: Path
    by_split: dict[str, list[str]]
    """Paths of the tars below the root, by split, in the order in which they are read."""
    beside: tuple[str, ...]
    """Paths of the other files below the root where it was given as a folder; else none."""


def expanded(pattern: str) -> list[str]:
    """Returns what a pattern with braces stands for. Raises `DatasetError`.

    >>> expanded("{train,val}/{09..10}.tar")
    ['train/09.tar', 'train/10.tar', 'val/09.tar', 'val/10.tar']
    """
    if "${" in pattern:
        raise DatasetError(f"{pattern} has '${{', for which nothing is put in; write the address out")
    try:
        names = list(map(str, expand_urls(pattern)))
    except ValueError as error:
        raise DatasetError(f"the braces in {pattern} do not match: {error}; {_LAYOUT}") from None
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise DatasetError(f"{pattern} names {repeated[0]} more than once; name each tar once")
    return names


def fixed_folder(pattern: str) -> str:
    """Returns the part of a pattern that is the folder of all that it stands for, with its slash.

    >>> fixed_folder("a/b/{train,val}/{0..9}.tar"), fixed_folder("{0..9}.tar")
    ('a/b/', '')
    """
    return re.sub(r"[^/]*$", "", pattern.partition("{")[0])


def find_tars(root: Path, rules: FolderRules) -> TarSet:
    """Returns the tars that a folder, a file or a pattern stands for.

    Raises `DatasetError` where there are none, where one that a pattern names is missing, and where it is not clear
    which splits they are of.
    """
    if root.is_dir():
        return _tars_in(root, rules)
    if root.is_file():
        folder, names = root.parent, [root.name]
    elif "{" in str(root):
        start = fixed_folder(str(root))
        folder, names = Path(start), [name.removeprefix(start) for name in expanded(str(root))]
        _refuse_missing(root, [name for name in names if not (folder / name).is_file()], len(names))
    else:
        raise DatasetError(f"there is no folder or tar {root}; {_LAYOUT}")
    _refuse_compressed(folder, names)
    return TarSet(root=folder, by_split=_by_split(folder, names, rules), beside=())


def _tars_in(root: Path, rules: FolderRules) -> TarSet:
    names: list[str] = []
    for folder in walk(root, follow_links=rules.follow_links):
        if linked := [name for name in folder.linked_folders if not is_hidden(name)]:
            raise DatasetError(
                f"{root / folder.prefix / linked[0]} is a link to a folder, which is not followed; name the folder "
                "that it leads to with --follow-links, or put the folder itself there"
            )
        names += [folder.prefix + name for name in folder.files]
    shown = [name for name in names if not any(map(is_hidden, name.split("/")))]
    _refuse_compressed(root, shown)
    tars = sorted(name for name in shown if suffix_of(name) == ".tar")
    if not tars:
        raise DatasetError(f"{root} holds no .tar; {_LAYOUT}")
    for name in tars:
        try:
            check_stays_inside(root, root / name, repr(name), rules.follow_links)
        except BadSample as error:
            raise DatasetError(f"in {root}, {error}") from None
    beside = sorted(set(names) - set(tars))
    return TarSet(root=root, by_split=_by_split(root, tars, rules), beside=tuple(beside))


def _by_split(root: Path, names: Sequence[str], rules: FolderRules) -> dict[str, list[str]]:
    tops = {name.partition("/")[0] for name in names if "/" in name}
    split_of = {} if rules.accepts("split-names") else {top: split for top in tops if (split := split_name(top))}
    if not split_of:
        if not rules.accepts("split-names"):
            check_split_folders(root, sorted(tops))
        return {ALL: list(names)}
    if outside := [name for name in names if name.partition("/")[0] not in split_of]:
        raise DatasetError(
            f"{root} has folders of splits, {', '.join(sorted(split_of))}, and {len(outside):,} tars beside them, such "
            f"as {outside[0]}; put each tar into the folder of a split"
        )
    by_split: dict[str, list[str]] = {}
    for name in names:
        by_split.setdefault(split_of[name.partition("/")[0]], []).append(name)
    return {split: by_split[split] for split in SPLITS if split in by_split}


def _refuse_missing(root: Path, missing: Sequence[str], count: int) -> None:
    if missing:
        names = ", ".join(missing[:_MOST]) + (", …" if len(missing) > _MOST else "")
        raise DatasetError(
            f"{len(missing):,} of the {count:,} tars that {root} names {'is' if len(missing) == 1 else 'are'} missing: "
            f"{names}; get them, or name those that are there"
        )


def _refuse_compressed(folder: Path, names: Sequence[str]) -> None:
    if packed := [name for name in names if _COMPRESSED.fullmatch(name)]:
        raise DatasetError(
            f"{folder / packed[0]} is a compressed tar, in which no member can be found without all before it; unpack "
            f"it to a .tar, or read it through a program: --root 'pipe:gunzip -c {folder / packed[0]}'"
        )
