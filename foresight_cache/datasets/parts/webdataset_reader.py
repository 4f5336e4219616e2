"""The reader of tars of the WebDataset convention, whatever their media."""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from foresight_cache.datasets import DEFAULT_RULES, FolderRules, ListedSample, RawSample
from foresight_cache.datasets.file_parts import FilePart
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.file_kinds import composed, is_hidden, kind_of_unused, suffix_of
from foresight_cache.datasets.parts.listed_samples import broken_sample, check_split, unmeasured_sample
from foresight_cache.datasets.parts.tar_samples import ScannedTar, TarSample, scan_tar
from foresight_cache.datasets.parts.tar_sets import TarSet, find_tars
from foresight_cache.datasets.parts.text_files import read_lines
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import shown
from foresight_cache.samples import Media

CLASS_NAMES = "classnames.txt"
"""File beside the tars with the name of a class on each line, from number 0 on."""
_OTHER: dict[Media, Media] = {"image": "clip", "clip": "image"}


class WebDatasetReader:
    """Reader of such tars. Ids are `<name>/<split>/<key>`, or `<name>/<split>/<tar>/<key>` where tars share a key."""

    media: ClassVar[Media]
    other_family: ClassVar[str]
    """Family that reads the tars where their media are of the other kind."""

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root
        self._rules = rules
        self._scanned: dict[str, ScannedTar] = {}
        self._remarks: dict[str, str] = {}

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have a folder of tars, or `all`. Raises `DatasetError`."""
        return tuple(self._tars.by_split)

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the tars and of their members. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        listed = self._samples_of(split)
        self._refuse_other_media(split, listed)
        shared = _shared_keys(listed)
        if shared:
            self._remarks[split] = (
                f"{len(shared):,} keys of split {split!r} stand in several tars, such as {shared[0]!a} in "
                f"{' and '.join([each.tar for each in listed if each.key == shared[0]][:2])}; ids have the tars' names"
            )
        for each in listed:
            key = f"{each.tar.rpartition('.')[0]}/{each.key}" if shared else each.key
            yield self._sample(f"{self._name}/{split}/{key}", each)

    def remarks(self) -> tuple[str, ...]:
        """Returns sentences on keys that several tars of a split share."""
        return tuple(self._remarks.values())

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:
        """Counts every member of the tars, and every file beside them, by what becomes of it."""
        inventory = Inventory(root=self._root, listed=False)
        for name in self._tars.beside:
            self._count_beside(inventory, name)
        asked = set(splits)
        taken = {listed.sample.file_name for listed in samples if isinstance(listed, RawSample)}
        for split, tars in self._tars.by_split.items():
            for tar in tars:
                scanned = self._scan(tar)
                for kind, path in scanned.passed_over:
                    known = kind if split in asked or kind == "hidden" else "other-splits"
                    inventory.pass_over(known, path, suffix_of(path))
                for each in scanned.samples:
                    if split not in asked:
                        inventory.pass_over("other-splits", f"{each.tar}/{each.key}", "", each.files)
                    elif each.media and _file_name(each.tar, each.media) in taken:
                        inventory.taken += each.files
                    else:
                        inventory.refused += each.files
        return inventory

    @cached_property
    def _tars(self) -> TarSet:
        return find_tars(self._root, self._rules)

    def _scan(self, tar: str) -> ScannedTar:
        """Returns what a tar holds; each is read once."""
        if tar not in self._scanned:
            self._scanned[tar] = scan_tar(self._tars.root, tar, self.media)
        return self._scanned[tar]

    def _samples_of(self, split: str) -> list[TarSample]:
        return [sample for tar in self._tars.by_split[split] for sample in self._scan(tar).samples]

    def _refuse_other_media(self, split: str, listed: list[TarSample]) -> None:
        """Raises `DatasetError` where the tars of a split hold media of the other kind alone."""
        if any(sample.media for sample in listed):
            return
        paths = [path for tar in self._tars.by_split[split] for _, path in self._scan(tar).passed_over]
        other = _OTHER[self.media]
        if found := [path for path in paths if kind_of_unused(path, other, listed=False) == "unplaced"]:
            raise DatasetError(
                f"{self._root} holds {len(found):,} {other}s, such as {found[0]}, and no {self.media}; prepare it as "
                f"{self.other_family}"
            )

    def _count_beside(self, inventory: Inventory, name: str) -> None:
        if any(map(is_hidden, name.split("/"))):
            inventory.pass_over("hidden", name, suffix_of(name))
        elif name == CLASS_NAMES:
            inventory.taken += 1
        else:
            text = suffix_of(name) in (".json", ".txt", ".csv", ".tsv", ".jsonl")
            inventory.pass_over(
                "text" if text else kind_of_unused(name, self.media, listed=False), name, suffix_of(name)
            )

    def _sample(self, sample_id: str, each: TarSample) -> ListedSample:
        try:
            if each.media is None:
                raise BadSample(f"{each.tar}: {each.problem}")
            annotations: dict[str, Any] = {}
            if each.captions is not None:
                annotations["captions"] = list(each.captions)
            if each.class_text is not None:
                annotations["class"] = self._class(each.class_text)
        except BadSample as error:
            return broken_sample(sample_id, error)
        return unmeasured_sample(
            sample_id,
            self._root,
            each.media,
            self.media,
            annotations,
            file_name=_file_name(each.tar, each.media),
        )

    def _class(self, text: str) -> dict[str, Any]:
        """Returns the class of a text. Raises `BadSample`."""
        numbers = self._class_ids
        if numbers is not None:
            return {"name": composed(text), "id": numbers[composed(text)]}
        number = int(text)
        if not self._class_names:
            return {"name": str(number), "id": number}
        if number >= len(self._class_names):
            raise BadSample(f"its cls is {number}, and {CLASS_NAMES} has {len(self._class_names)} lines, from 0 on")
        return {"name": self._class_names[number], "id": number}

    @cached_property
    def _class_ids(self) -> dict[str, int] | None:
        """Numbers of classes that go by names, in order of name over all splits; None where they go by numbers.

        Raises `DatasetError` where some go by names and others by numbers.
        """
        texts: dict[str, str] = {}
        for split in self.splits():
            for sample in self._samples_of(split):
                if sample.class_text is not None:
                    texts.setdefault(composed(sample.class_text), f"{sample.tar}/{sample.key}")
        numbers = [text for text in texts if text.isascii() and text.isdigit()]
        names = sorted(texts.keys() - set(numbers))
        if numbers and names:
            raise DatasetError(
                f"classes of {self._root} go by number and by name: {texts[numbers[0]]}.cls is {shown(numbers[0])}, "
                f"{texts[names[0]]}.cls is {shown(names[0])}; write all of them in one way"
            )
        return {name: number for number, name in enumerate(names)} if names else None

    @cached_property
    def _class_names(self) -> list[str]:
        path = self._tars.root / CLASS_NAMES
        return [composed(line.strip()) for line in read_lines(path)] if CLASS_NAMES in self._tars.beside else []


def _shared_keys(listed: list[TarSample]) -> list[str]:
    times = Counter(sample.key for sample in listed)
    return [key for key, count in times.items() if count > 1]


def _file_name(tar: str, media: FilePart) -> str:
    return f"{tar}/{media.name.removeprefix('./')}"
