from pathlib import Path
from typing import Annotated

import typer

Dataset = Annotated[str, typer.Argument(help="Name of a dataset (shapes, coco) or path of a manifest YAML.")]
Root = Annotated[Path | None, typer.Option(help="Folder of the raw dataset; generated sets need none.")]
Out = Annotated[Path, typer.Option(help="Folder for the tars and their index.")]
Split = Annotated[str | None, typer.Option(help="Only this split of the dataset, such as val2017; all by default.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many samples; scenes of a generated set.")]
PerShard = Annotated[int, typer.Option(min=1, help="Samples in a tar, and so in a shard of every cache made from it.")]
Seed = Annotated[int, typer.Option(help="Seed of a generated set.")]
MaxBad = Annotated[float, typer.Option(min=0, max=1, help="Share of unusable samples past which the command fails.")]


def run(
    dataset: Dataset,
    out: Out,
    root: Root = None,
    split: Split = None,
    limit: Limit = None,
    samples_per_shard: PerShard = 64,
    seed: Seed = 0,
    max_bad: MaxBad = 0.0,
) -> None:
    """Check a raw dataset against its manifest and pack it into WebDataset tars.

    Original image bytes and one normalised annotation record per sample go into tars of 64 samples, beside an
    index with every tar's sample ids and SHA-256. Samples that cannot be used are left out and listed with the
    reason. The same input gives the same bytes; a second run changes nothing.

    Example: foresight prepare coco --root data/coco --split val2017 --out shards/coco
    """
    from foresight_cache.preparation import prepare
    from pipelines.progress import progress, say

    with progress("prepare", limit) as advance:
        summary = prepare(
            dataset,
            root=root,
            out=out,
            split=split,
            limit=limit,
            samples_per_shard=samples_per_shard,
            seed=seed,
            max_bad=max_bad,
            advance=advance,
        )
    shards = summary.shards
    splits = ", ".join(f"{count} of {name}" for name, count in summary.splits.items())
    state = "already prepared" if summary.already_there else "prepared"
    print(f"{state}: {splits} in {len(shards.shards)} tars, {shards.size / 1e6:,.1f} MB, in {out}")
    for bad in shards.quarantined:
        say(f"left out: {bad.id}: {bad.reason}")
