"""Two folders of runs beside each other: what is paired of them, and in what their caches differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_probes.results.comparable import cache_differences
from foresight_probes.results.pairs import Overlap, overlap_of
from foresight_probes.results.result import Result
from foresight_probes.studies.planning import RUNS
from foresight_probes.studies.running import RECORD


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairing:
    """What two folders of runs have in common, and in what they differ."""

    overlap: Overlap
    fields: tuple[str, ...]
    """Fields of the fingerprints that differ, each with both values."""
    trained: tuple[int, int]
    """Samples that trained here and there."""

    @property
    def sentences(self) -> str:
        """It in words."""
        own = self.overlap
        text = f"Paired by id on {own.shared:,} test samples."
        if own.first_alone or own.second_alone:
            text = (
                f"Paired by id on the {own.shared:,} test samples that both have; left out are {own.first_alone:,} of "
                f"the first alone and {own.second_alone:,} of the second alone, which are in the values beside the "
                "differences."
            )
        if self.trained[0] != self.trained[1]:
            text += f" The first was trained on {self.trained[0]:,} samples and the second on {self.trained[1]:,}."
        return text + (f" Their caches differ in {', '.join(self.fields)}." if self.fields else "")


def group_folder(folder: Path, task: str) -> Path:
    """Returns the folder of runs itself, or in the folder of a study that of its one group with results for a task.

    Raises `ProbeError` with the folders of the groups where several have some, or none has.
    """
    inside = folder / RUNS
    if not inside.is_dir() or not (folder / RECORD).is_file():
        return folder
    groups = sorted(own for own in inside.iterdir() if (own / task).is_dir())
    if len(groups) != 1:
        found = [str(own) for own in groups or sorted(inside.iterdir())]
        has = f"has {len(groups)} groups of runs" if groups else "has no group of runs"
        raise ProbeError(f"{folder} is the folder of a study, which {has} with {task}; name one: {', '.join(found)}")
    return groups[0]


def pairing_of(
    own: Mapping[str, Sequence[Result]],
    beside: Mapping[str, Sequence[Result]],
    folders: tuple[Path, Path],
    *,
    across: bool,
) -> Pairing | None:
    """Returns what is paired of two folders; None where they have no point in common.

    Raises `ProbeError`, with the fields that differ, for caches of several fingerprints, unless `across` allows it.
    """
    pairs = [(results[0], beside[name][0]) for name, results in own.items() if name in beside]
    if not pairs:
        return None
    one, other = pairs[0]
    fields = tuple(cache_differences(one, other))
    if fields and not across:
        raise ProbeError(
            f"{folders[0]} and {folders[1]} are of caches of other fingerprints, which differ in {', '.join(fields)}; "
            "give --across to compare them all the same"
        )
    trained = (int(one.split.get("train", 0)), int(other.split.get("train", 0)))
    return Pairing(overlap=overlap_of(one, other), fields=fields, trained=trained)
