from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foresight_cache.preparation.prepare import PreparationSummary

Dataset = Annotated[str, typer.Argument(help="Name of a dataset ('foresight datasets') or path of a manifest YAML.")]
Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the raw dataset; generated sets need none (moving-mnist may take a file)."),
]
Out = Annotated[Path, typer.Option(help="Folder for the tars and their index.")]
Split = Annotated[str | None, typer.Option(help="Only this split of the dataset, such as val2017; all by default.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many samples; scenes of a generated set.")]
PerClass = Annotated[
    int | None, typer.Option(min=1, help="Only so many samples of each class, action, scene or object category.")
]
ShuffleSeed = Annotated[int | None, typer.Option(help="Put the samples into the random order of this seed first.")]
Partial = Annotated[
    bool, typer.Option("--partial", help="Accept a part of a counted set; what is not there is left out.")
]
PerShard = Annotated[int, typer.Option(min=1, help="Samples in a tar, and so in a shard of every cache made from it.")]
Seed = Annotated[int, typer.Option(help="Seed of a generated set.")]
MaxBad = Annotated[float, typer.Option(min=0, max=1, help="Share of unusable samples past which the command fails.")]
Deep = Annotated[bool, typer.Option("--deep", help="Decode all media, not only their headers.")]
Also = Annotated[
    list[Path] | None, typer.Option(help="Prepared set; samples whose media it has get its group. May be repeated.")
]
Workers = Annotated[int, typer.Option(min=1, help="Threads that read and check ahead.")]


def run(
    dataset: Dataset,
    out: Out,
    root: Root = None,
    split: Split = None,
    limit: Limit = None,
    per_class: PerClass = None,
    shuffle_seed: ShuffleSeed = None,
    partial: Partial = False,
    samples_per_shard: PerShard = 64,
    seed: Seed = 0,
    max_bad: MaxBad = 0.0,
    deep: Deep = False,
    also: Also = None,
    workers: Workers = 2,
) -> None:
    """Check a raw dataset against its manifest and pack it into WebDataset tars.

    Original media bytes and one normalised annotation record per sample go into tars of 64 samples, beside an
    index with every tar's sample ids and SHA-256. Samples that cannot be used are left out and listed with the
    reason; samples with the same media get one group, which no probe splits. The same input gives the same bytes; a
    second run changes nothing, and goes on where an interrupted one stopped.

    Example: foresight prepare coco --root data/coco --split val2017 --out shards/coco
    """
    from foresight_cache.preparation.prepare import prepare
    from pipelines.progress import progress, say

    with progress("prepare", limit) as advance:
        summary = prepare(
            dataset,
            root=root,
            out=out,
            split=split,
            limit=limit,
            per_class=per_class,
            shuffle_seed=shuffle_seed,
            partial=partial,
            samples_per_shard=samples_per_shard,
            seed=seed,
            max_bad=max_bad,
            deep=deep,
            also=also or (),
            workers=workers,
            advance=advance,
        )
    shards = summary.shards
    splits = ", ".join(f"{count} of {name}" for name, count in summary.splits.items())
    state = "already prepared" if summary.already_there else "prepared"
    print(f"{state}: {splits} in {len(shards.shards)} tars, {shards.size / 1e6:,.1f} MB, in {out}")
    for line in _findings(summary):
        print(line)
    for bad in shards.quarantined:
        say(f"left out: {bad.id}: {bad.reason}")


def _findings(summary: "PreparationSummary") -> list[str]:
    """What was found beside what the manifest expects, as far as there is anything to say."""
    lines = []
    for each in summary.counts:
        if each.expected is not None:
            lines.append(
                f"{each.split}: {each.listed:,} found, {each.expected:,} expected, "
                f"{each.missing:,} missing, {each.extra:,} extra"
            )
    if bad := len(summary.shards.quarantined):
        lines.append(f"{bad:,} could not be used and {'is' if bad == 1 else 'are'} left out")
    if summary.absent:
        lines.append(f"{summary.absent:,} are listed and not there, and left out")
    if summary.duplicates:
        lines.append(f"{summary.duplicates:,} have the same media as another sample, and its group")
    return lines
