from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.options import Json, is_own_call
from pipelines.completion import complete_datasets

if TYPE_CHECKING:
    from foresight_cache.datasets.manifests import Manifest

app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
"""`foresight datasets` and its commands."""

Name = Annotated[
    str,
    typer.Argument(
        help="Name of a dataset or path of a manifest YAML.", metavar="NAME", autocompletion=complete_datasets
    ),
]
First = Annotated[Path, typer.Argument(help="Folder that 'foresight prepare' wrote.", metavar="SHARDS")]
Second = Annotated[
    Path, typer.Argument(help="Another such folder, or the same one to look within it.", metavar="SHARDS")
]


@app.callback()
def run(context: typer.Context, json_output: Json = False) -> None:
    """List the datasets that can be prepared; 'show NAME' says how to get one, 'duplicates A B' compares two.

    Example: foresight datasets show coco2017
    """
    if not is_own_call(context, json_output):
        return
    from foresight_cache.datasets import manifests
    from pipelines.output import print_json

    listed = [manifests.load(name) for name in manifests.names()]
    if json_output:
        print_json([manifest.to_json() for manifest in listed])
        return
    width = max(len(manifest.name) for manifest in listed)
    for manifest in listed:
        print(f"{manifest.name:{width}}  {manifest.media:5}  {', '.join(manifest.annotations)}: {manifest.title}")


@app.command("show")
def show(name: Name, json_output: Json = False) -> None:
    """Say what a dataset is, how to get it and which folder layouts are accepted.

    Example: foresight datasets show ade20k
    """
    from foresight_cache.datasets import manifests
    from pipelines.output import print_json

    manifest = manifests.load(name)
    if json_output:
        print_json(manifest.to_json())
        return
    print(f"{manifest.name}: {manifest.title}\n")
    for label, text in _facts(manifest).items():
        print(f"{label:17} {text}")
    print(f"\n{manifest.obtain}")
    root = "" if manifest.generator else " --root ROOT"
    print(f"\nforesight prepare {name}{root} --out shards/{manifest.name}")


@app.command("duplicates")
def duplicates(first: First, second: Second, json_output: Json = False) -> None:
    """List the samples of two prepared sets whose media are the same bytes; exit status 1 where there are some.

    Example: foresight datasets duplicates shards/train shards/test
    """
    from foresight_cache.preparation.duplicates import shared_media
    from foresight_cache.shards import open_shards
    from pipelines.output import print_json

    pairs = shared_media(open_shards(first), open_shards(second))
    if json_output:
        print_json(pairs)
    else:
        print("".join(f"{one}\t{other}\n" for one, other in pairs), end="")
    raise typer.Exit(1 if pairs else 0)


def _facts(manifest: "Manifest") -> dict[str, str]:
    counts = [
        f"{split} ({manifest.expected[split]:,})" if split in manifest.expected else split for split in manifest.splits
    ]
    facts = {
        "media": manifest.media,
        "annotations": ", ".join(manifest.annotations),
        "splits": ", ".join(counts) or "those that the folder has",
        "layouts": "\n".join([*manifest.layouts][:1] + [f"{'':17} {layout}" for layout in manifest.layouts[1:]]),
        "annotation files": ", ".join(manifest.annotation_files),
        "licence": manifest.licence,
        "homepage": manifest.homepage or "",
        "citation": manifest.citation or "",
    }
    return {label: text for label, text in facts.items() if text}
