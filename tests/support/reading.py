"""Reading a raw folder in a line: its sound samples, its broken ones, or why it is refused."""

from pathlib import Path

import pytest

from foresight_cache import datasets
from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.preparation.packing import pack_sample
from foresight_cache.samples import Sample


def sound_samples(family: str, root: Path, split: str) -> list[Sample]:
    """Returns the samples of a split, none of which may be broken."""
    listed = list(datasets.reader(family)(family, root).samples(split))
    assert all(isinstance(sample, RawSample) for sample in listed), listed
    return [sample.sample for sample in listed if isinstance(sample, RawSample)]


def broken(family: str, root: Path, split: str) -> dict[str, str]:
    """Returns reasons by id, of what the reader or the packing refuses; the rest must be sound."""
    reasons = {}
    for listed in datasets.reader(family)(family, root).samples(split):
        if isinstance(listed, BrokenSample):
            reasons[listed.id] = listed.reason
            continue
        try:
            pack_sample(listed)
        except BadSample as error:
            reasons[listed.sample.id] = str(error)
    return reasons


def refused(family: str, root: Path, split: str) -> str:
    """Returns the error with which a split is refused as a whole."""
    with pytest.raises(DatasetError) as caught:
        list(datasets.reader(family)(family, root).samples(split))
    return str(caught.value)
