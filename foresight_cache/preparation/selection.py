"""Which of the samples that a reader finds are prepared: all, the first ones, a random part, so many of each class."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.errors import UsageError
from foresight_cache.flags import Flag
from foresight_cache.samples import Sample

Record = RawSample | BrokenSample


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSelection:
    """In this order: shuffle, leave out what is absent, take so many of each class, take so many in all."""

    limit: Annotated[
        int | None, Flag(help="Only the first so many samples; scenes of a generated set.", at_least=1)
    ] = None
    per_class: Annotated[
        int | None,
        Flag(help="Only so many samples of each class, action, scene or object category.", at_least=1),
    ] = None
    shuffle_seed: Annotated[int | None, Flag(help="Put the samples into the random order of this seed first.")] = None
    partial: Annotated[bool, Flag(help="Accept a part of a counted set; what is not there is left out.")] = False

    def __post_init__(self) -> None:
        for name, value in (("--limit", self.limit), ("--per-class", self.per_class)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, expected 1 or more")

    def ordered(self, records: Iterable[Record]) -> list[Record]:
        """Before anything is left out."""
        listed = list(records)
        if self.shuffle_seed is not None:
            random.Random(self.shuffle_seed).shuffle(listed)  # noqa: S311 - a choice, no secret
        return listed

    def chosen(self, ordered: Sequence[Record]) -> list[Record]:
        """Raises `UsageError` where classes are asked for and no sample has one."""
        present = [record for record in ordered if not (self.partial and is_absent(record))]
        if self.per_class is not None:
            present = _of_each_class(present, self.per_class)
        return list(islice(present, self.limit))


def is_absent(record: Record) -> bool:
    """Whether a sample's media, or its labels, are not there at all."""
    if isinstance(record, BrokenSample):
        return record.absent
    try:
        return not record.path.exists() or (record.labels is not None and not record.labels.exists())
    except OSError:  # such as a name that is too long, which the packing tells of
        return False


def classes_of(sample: Sample) -> tuple[str, ...]:
    """What a sample is counted under: its class, action, scene, or answer's grade; else the categories of its objects.

    >>> from foresight_cache.samples import Sample
    >>> common = dict(id="a/b/c", dataset="a", split="b", group="g", media="image", file_name="c", width=1, height=1)
    >>> classes_of(Sample(**common, annotations={"objects": [{"category": "dog"}, {"category": "cat"}] * 2}))
    ('cat', 'dog')
    """
    kinds: Any = sample.annotations
    if "class" in kinds:
        return (kinds["class"]["name"],)
    if "action" in kinds:
        return (kinds["action"]["class"],)
    if "scene" in kinds:
        return (kinds["scene"],)
    if kinds.get("qa", {}).get("hallucinated") is not None:
        return (f"hallucinated: {kinds['qa']['hallucinated']}",)
    return tuple(sorted({each["category"] for each in kinds.get("objects", ())}))


def _of_each_class(records: Sequence[Record], most: int) -> list[Record]:
    """In order, each sample of which some class has fewer than `most` so far; what is broken stays to be told."""
    taken: Counter[str] = Counter()
    chosen: list[Record] = []
    for record in records:
        classes = classes_of(record.sample) if isinstance(record, RawSample) else ()
        if isinstance(record, BrokenSample) or any(taken[name] < most for name in classes):
            taken.update(classes)
            chosen.append(record)
    if not taken:
        raise UsageError("--per-class is given, but no sample has a class, scene, action, graded answer or objects")
    return chosen
