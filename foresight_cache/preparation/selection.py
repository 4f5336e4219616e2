"""Selects which listed samples are prepared: all, the first ones, a random part, or so many of each class."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Self

from foresight_cache.datasets import BrokenSample, ListedSample, RawSample
from foresight_cache.errors import UsageError
from foresight_cache.option_help import Flag
from foresight_cache.samples import Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSelection:
    """Choice of samples: shuffled, without absent ones, then so many of each class, then so many in all."""

    limit: Annotated[
        int | None,
        Flag(
            help="Only the first so many samples; for a generated dataset, the number that is drawn.",
            at_least=1,
            unset="all; of a generated set, its usual number",
        ),
    ] = None
    per_class: Annotated[
        int | None,
        Flag(help="Only so many samples of each class, action, scene or object category.", at_least=1, unset="all"),
    ] = None
    shuffle_seed: Annotated[
        int | None, Flag(help="Put the samples into the random order of this seed first.", unset="the dataset's order")
    ] = None
    partial: Annotated[bool, Flag(help="Accept fewer samples than are published; what is not there is left out.")] = (
        False
    )

    def __post_init__(self) -> None:
        """Raises `UsageError`."""
        for name, value in (("--limit", self.limit), ("--per-class", self.per_class)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, expected 1 or more")

    def order(self, samples: Iterable[ListedSample]) -> list[ListedSample]:
        """Returns all samples in the order in which they are selected."""
        ordered = list(samples)
        if self.shuffle_seed is not None:
            random.Random(self.shuffle_seed).shuffle(ordered)  # noqa: S311 - a choice, no secret
        return ordered

    def select(self, ordered: Sequence[ListedSample]) -> list[ListedSample]:
        """Returns the selected ones of ordered samples.

        Raises `UsageError` where a number for each class is given and no sample has a class.
        """
        present = [listed for listed in ordered if not (self.partial and is_absent(listed))]
        if self.per_class is not None:
            present = _of_each_class(present, self.per_class)
        return list(islice(present, self.limit))


def is_absent(listed: ListedSample) -> bool:
    """Returns whether a sample's media, or its labels, are not there at all."""
    if isinstance(listed, BrokenSample):
        return listed.absent
    try:
        return not listed.path.exists() or (listed.labels is not None and not listed.labels.exists())
    except OSError:  # such as a name that is too long, which packing reports
        return False


def _missing(listed: ListedSample) -> str:
    """Returns what of an absent sample is not there."""
    if isinstance(listed, BrokenSample):
        return listed.reason
    return f"there is no {listed.labels if listed.path.exists() else listed.path}"


def classes_of(sample: Sample) -> tuple[str, ...]:
    """Returns what a sample is counted under: class, action, scene or answer's grade, else its objects' categories.

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
    return tuple(sorted({entry["category"] for entry in kinds.get("objects", ())}))


@dataclass(frozen=True, kw_only=True, slots=True)
class AbsentSamples:
    """Samples of a part of a set that are listed and whose files are not there."""

    ids: tuple[str, ...] = ()
    file_names: tuple[str, ...] = ()
    """Paths below the root where the media of those with such a path are sought."""
    reason: str = ""
    """Clause that says what of the first one is not there."""
    emptied: tuple[str, ...] = ()
    """Classes of which no sample is there."""

    @classmethod
    def of(cls, samples: Iterable[ListedSample]) -> Self:
        """Returns the absent ones of these samples, in order."""
        ids: list[str] = []
        file_names: list[str] = []
        reason = ""
        gone: set[str] = set()
        there: set[str] = set()
        for listed in samples:
            if isinstance(listed, BrokenSample):
                name, classes = listed.id, listed.classes
            else:
                name, classes = listed.sample.id, classes_of(listed.sample)
            if is_absent(listed):
                reason = reason or _missing(listed)
                ids.append(name)
                file_names += [listed.sample.file_name] if isinstance(listed, RawSample) else []
                gone.update(classes)
            else:
                there.update(classes)
        return cls(ids=tuple(ids), file_names=tuple(file_names), reason=reason, emptied=tuple(sorted(gone - there)))


def _of_each_class(samples: Sequence[ListedSample], most: int) -> list[ListedSample]:
    """Returns, in order, each sample of which some class has fewer than `most` so far, and all broken ones."""
    counts: Counter[str] = Counter()
    selected: list[ListedSample] = []
    for listed in samples:
        classes = classes_of(listed.sample) if isinstance(listed, RawSample) else ()
        if isinstance(listed, BrokenSample) or any(counts[name] < most for name in classes):
            counts.update(classes)
            selected.append(listed)
    if not counts:
        raise UsageError("--per-class is given, but no sample has a class, scene, action, graded answer or objects")
    return selected
