from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foresight_cache.datasets.inventory import KINDS
from foresight_cache.preparation.options import PreparationOptions
from pipelines.commands.options import Json
from pipelines.completion import complete_datasets
from pipelines.options_to_parameters import with_flags

if TYPE_CHECKING:
    from foresight_cache.datasets.inventory import Inventory
    from foresight_cache.preparation.prepare_dataset import PreparationSummary
    from foresight_cache.preparation.selection import AbsentSamples

Dataset = Annotated[
    str,
    typer.Argument(
        help="Name of a dataset ('foresight datasets') or path of a manifest YAML.",
        metavar="DATASET",
        autocompletion=complete_datasets,
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the tars and their index.")]

_MOST_CLASSES = 10
"""Classes that are named; of more the first ones are."""


@with_flags
def run(dataset: Dataset, out: Out, options: PreparationOptions, json_output: Json = False) -> None:
    """Check a raw dataset against its manifest and pack it into WebDataset tars.

    Original media bytes and one annotation record per sample, in one common form, go into tars of 64 samples, beside an
    index with every tar's sample ids and SHA-256. Samples that cannot be used are left out and listed with the
    reason; samples with the same media get one group, never split apart. The same input gives the same bytes; a
    second run changes nothing, and goes on where an interrupted one stopped.

    Example: foresight prepare coco --root data/coco --split val2017 --out shards/coco
    """
    from foresight_cache.preparation.causes import causes_of, tell_cause
    from foresight_cache.preparation.prepare_dataset import prepare
    from pipelines.output import print_json
    from pipelines.progress_bar import progress, say

    with progress("prepare", options.selection.limit) as report:
        summary = prepare(dataset, out, options, report, report.expect)
    if json_output:
        print_json(_json(summary))
    else:
        print(_text(summary, out))
    for samples in causes_of(summary.shards.quarantined):
        for line in tell_cause(samples):
            say(f"left out: {line}")


def _json(summary: "PreparationSummary") -> dict[str, Any]:
    shards = summary.shards
    return {
        "out": shards.path,
        "dataset": shards.dataset,
        "already_prepared": summary.already_there,
        "samples": shards.samples,
        "samples_per_shard": shards.samples_per_shard,
        "shards": len(shards.shards),
        "bytes": shards.size,
        "splits": summary.splits,
        "classes": summary.classes,
        "files": _files(summary.inventory),
        "counts": [asdict(count) for count in summary.counts],
        "absent": len(summary.absent.ids),
        "emptied_classes": summary.absent.emptied,
        "groups": summary.groups,
        "without_group": summary.unmatched,
        "remarks": summary.remarks,
        "duplicates": summary.duplicates,
        "left_out": [{"id": bad.id, "reason": bad.reason} for bad in shards.quarantined],
    }


def _text(summary: "PreparationSummary", out: Path) -> str:
    shards = summary.shards
    splits = ", ".join(f"{count} of {name}" for name, count in summary.splits.items())
    state = "already prepared" if summary.already_there else "prepared"
    first = f"{state}: {splits} in {len(shards.shards)} tars, {shards.size / 1e6:,.1f} MB, in {out}"
    return "\n".join([first, *_findings(summary), *_classes(summary.classes), *_table(summary.inventory)])


def _classes(classes: Sequence[str]) -> list[str]:
    if not classes:
        return []
    return [f"{len(classes):,} class{'' if len(classes) == 1 else 'es'}: {_shown(classes)}"]


def _files(inventory: "Inventory | None") -> dict[str, Any] | None:
    if inventory is None:
        return None
    return {
        "below": inventory.root,
        "all": inventory.files,
        "taken": inventory.taken,
        "refused": inventory.refused,
        "steps_of_frames": inventory.steps,
        "passed_over": {kind: dict(each.suffixes) for kind, each in inventory.passed_over.items()},
    }


def _table(inventory: "Inventory | None") -> list[str]:
    """Returns a row for each thing that became of the files; the numbers add up to the first."""
    if inventory is None or inventory.files == inventory.taken:
        return []
    rows = [(inventory.taken, "taken")]
    if inventory.refused:
        rows.append((inventory.refused, "refused, and told below"))
    for kind in KINDS:
        if each := inventory.passed_over.get(kind):
            rows.append((each.count, f"passed over, {kind}: {each}"))
    width = len(f"{inventory.files:,}")
    return [
        f"{inventory.files:,} files below {inventory.root}:",
        *(f"  {count:>{width},} {what}" for count, what in rows),
    ]


def _findings(summary: "PreparationSummary") -> list[str]:
    """What was found beside what the manifest expects, as far as there is anything to say."""
    lines = []
    for each in summary.counts:
        if each.expected is not None:
            lines.append(
                f"{each.split}: {each.listed:,} found, {each.expected:,} expected, "
                f"{each.missing:,} missing, {each.extra:,} extra"
            )
    if summary.inventory and (steps := summary.inventory.steps):
        folder, step = min(steps.items())
        have = "folder of frames has" if len(steps) == 1 else "folders of frames have"
        lines.append(f"{len(steps):,} {have} numbers at a step, such as {folder!a}: every {step:,}")
    if summary.groups is not None and (summary.groups < summary.shards.samples or summary.shards.manifest.get("group")):
        lines.append(_groups(summary, summary.groups))
    lines += summary.remarks
    if bad := len(summary.shards.quarantined):
        lines.append(f"{bad:,} could not be used and {'is' if bad == 1 else 'are'} left out")
    if summary.absent.ids:
        lines.append(_absent(summary.absent))
    if summary.duplicates:
        lines.append(f"{summary.duplicates:,} have the same media as another sample, and its group")
    return lines


def _absent(absent: "AbsentSamples") -> str:
    """Tells how many samples are not there, one of them by name, and which classes are gone with them."""
    count = len(absent.ids)
    line = f"{count:,} {'is' if count == 1 else 'are'} listed and not there, and left out, such as {absent.ids[0]}"
    if absent.emptied:
        classes = _shown(absent.emptied)
        line += f"; none is left of {'class' if len(absent.emptied) == 1 else 'the classes'} {classes}"
    return line


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_CLASSES]) + (", …" if len(names) > _MOST_CLASSES else "")


def _groups(summary: "PreparationSummary", groups: int) -> str:
    """Tells in how many groups samples are, which are never on two sides of a split."""
    pattern, samples = summary.shards.manifest.get("group"), summary.shards.samples
    line = f"{samples:,} samples in {groups:,} groups"
    if summary.unmatched:
        return f"{line}; group {pattern!r} is not found in the names of {summary.unmatched:,}, which are on their own"
    return f"{line}; group {pattern!r} makes a group of each" if pattern and groups == samples else line
