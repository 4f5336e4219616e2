from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from foresight_cache.errors import UsageError
from foresight_cache.runtime.work_share import Part, WorkShare
from foresight_cache.text_index.options import IndexOptions, TextModelOptions
from pipelines.commands import options as parameters
from pipelines.commands.options import Json, Model
from pipelines.completion import complete_cached_points
from pipelines.options_to_parameters import with_flags

if TYPE_CHECKING:
    from foresight_cache.text_index.indexing import Indexing

app = typer.Typer(rich_markup_mode="markdown")
"""`foresight lens index`, `lens run`, `lens compare` and `lens import`."""

Corpus = Annotated[
    Path,
    typer.Argument(
        help="Text file in UTF-8 of one phrase a line, or a folder that 'foresight prepare' wrote, for its captions.",
        metavar="CORPUS",
    ),
]
IndexOut = Annotated[Path, typer.Option(help="Folder for the index, new or to be continued.", metavar="INDEX")]
Published = Annotated[
    Path,
    typer.Argument(
        help="Folder of a published index: layer_N/embeddings.npy (or .safetensors) and metadata.json.",
        metavar="PUBLISHED",
    ),
]
ModelName = Annotated[
    str, typer.Option("--model", help="Name of the model that the index is of, as caches of it have it.")
]
CachePath = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
IndexPath = Annotated[
    Path, typer.Option("--index", help="Folder that 'foresight lens index' or 'lens import' wrote.", metavar="INDEX")
]
OneLens = Annotated[Path, typer.Argument(help="Folder that 'foresight lens run' wrote.", metavar="LENS")]
OtherLens = Annotated[Path, typer.Argument(help="Another one, of the same cache.", metavar="OTHER")]
Out = Annotated[Path, typer.Option(help="Folder for words.parquet, index.html and a page for each image.")]
Points = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated points, aliases or patterns of the cache, in the language model's space.",
        show_default="all llm.* and vit.post_merge of the cache",
        autocompletion=complete_cached_points,
    ),
]
Embedding = Annotated[
    bool,
    typer.Option("--embedding", help="Look up the nearest input embeddings too (EmbeddingLens).", show_default="off"),
]
Logit = Annotated[
    bool,
    typer.Option("--logit", help="Look up the highest logits too, by final norm and head.", show_default="off"),
]
Top = Annotated[int, typer.Option(min=1, max=100, help="Words of each token.")]
Samples = Annotated[
    int | None, typer.Option(min=1, help="Samples to look at, from the first on, at most.", show_default="all")
]
Pages = Annotated[int, typer.Option(min=0, help="Samples that get a page, at most.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Device to compute on: auto (a GPU if there is one), cpu, cuda.")
]


@app.callback()
def group() -> None:
    """Read visual tokens through the words that they are close to, in a model's own language model.

    'lens index' keeps what words are in contexts, once per model; 'lens run' looks up the tokens of a cache there, in
    the input embeddings and in the logits, without the model; 'lens compare' compares the words of two indices, and
    'lens import' reads published ones.

    Example: foresight lens run caches/coco --index indices/phrases --embedding --logit --out lens/coco
    """


@app.command()
@with_flags
def index(
    corpus: Corpus,
    model: Model,
    out: IndexOut,
    indexing: IndexOptions,
    loading: TextModelOptions,
    part: parameters.Part = None,
    no_wait: parameters.NoWait = False,
    json_output: Json = False,
) -> None:
    """Run the language model of a vision-language model over phrases, and keep its tokens in their contexts.

    Text alone, without a chat template. Of each token at most --contexts contexts are kept, drawn by token ids alone,
    the same ones at all layers. Shards are written whole, and the same command goes on where it stopped. Input
    embeddings, final norm and head are kept beside them, for 'lens run --embedding --logit'.

    Example: foresight lens index phrases.txt --model tiny:qwen2_5_vl --layers 1,2 --out indices/phrases
    """
    from foresight_cache.runtime.progress import StageTimes
    from foresight_cache.runtime.schedulers import begin_of, take_own_gpus
    from foresight_cache.text_index.indexing import make_index
    from pipelines.output import print_json
    from pipelines.progress_bar import progress

    share = WorkShare(part=Part.parse(part) if part else Part(1, 1), begin=begin_of(), waits=not no_wait)
    take_own_gpus(loading.device)
    times = StageTimes()
    with progress("load", None):
        plan = _plan(corpus, model, indexing, loading, out)
        left = plan.rows_left()
    with progress("index", left, "rows", times=times) as advance:
        make_index(plan, advance, times, share)
    found = {
        "model": plan.fingerprint["model"]["name"],
        "phrases": len(plan.corpus.phrases),
        "rows": len(plan.occurrences),
        "layers": ",".join(map(str, plan.layers)),
        "vocabulary": plan.vocabulary.size if indexing.vocabulary == "keep" else 0,
    }
    print_json(found) if json_output else print("\n".join(f"{name:12} {value}" for name, value in found.items()))


def _plan(corpus: Path, model: str, indexing: IndexOptions, loading: TextModelOptions, out: Path) -> "Indexing":
    from foresight_cache.encoders import describe, load
    from foresight_cache.text_index.corpus import read_corpus
    from foresight_cache.text_index.indexing import Indexing, needed_taps

    phrases = read_corpus(corpus)
    options = loading.loading()
    taps = needed_taps(describe(model, options), indexing)  # what is wrong is said before the weights are there
    return Indexing(phrases, load(model, options, taps), indexing, out)


@app.command("import")
def import_published(published: Published, model: ModelName, out: IndexOut, json_output: Json = False) -> None:
    """Read a published index of contextual embeddings, from numbers and JSON; pickles are refused.

    All layers must have the same rows. Such an index does not say which weights it is of, so that the name of the model
    is all that 'lens run' can compare; it has no input embeddings and no head.

    Example: foresight lens import published --model Qwen/Qwen2.5-VL-7B-Instruct --out indices/published
    """
    from foresight_cache.text_index.importing import Importing, import_index
    from pipelines.output import print_json
    from pipelines.progress_bar import progress

    plan = Importing(published, model, out)
    with progress("import", len(plan.table["token"]), "rows") as advance:
        import_index(plan, advance)
    found = {"rows": plan.folder.rows, "layers": ",".join(map(str, plan.layers)), "width": plan.folder.width}
    print_json(found) if json_output else print("\n".join(f"{name:12} {value}" for name, value in found.items()))


@app.command()
def run(
    cache: CachePath,
    index: IndexPath,
    out: Out,
    points: Points = None,
    embedding: Embedding = False,
    logit: Logit = False,
    top: Top = 5,
    samples: Samples = None,
    pages: Pages = 20,
    device: Device = "auto",
    json_output: Json = False,
) -> None:
    """Look up the words that each token of a cache is closest to, and write them as a table and as pages.

    Contextual neighbours have the highest cosine over all layers of the index together (LatentLens). The index is read
    shard by shard, whatever its size. The table tells how many different words there are: few, or one for nearly all
    tokens, say little of any image.

    Example: foresight lens run caches/coco --index indices/phrases --points llm.* --out lens/coco
    """
    from dataclasses import asdict

    from foresight_cache import open_cache
    from foresight_cache.lists import split_list
    from foresight_cache.text_index_files import open_index
    from foresight_probes.lens.lens_run import LensRun, device_of, usable_points
    from foresight_probes.report.lens import write_lens
    from pipelines.output import make_folder, print_json
    from pipelines.progress_bar import progress
    from pipelines.tables import text_table

    opened, found = open_cache(cache), open_index(index)
    asked = None if points is None else split_list(points, "--points")
    wanted = {"contextual": True, "embedding": embedding, "logit": logit}
    lens = LensRun(
        opened,
        found,
        usable_points(opened, found, asked),
        tuple(name for name, is_wanted in wanted.items() if is_wanted),
        top=top,
        samples=samples,
        device=device_of(device),
    )
    make_folder(out)
    with progress("lens", len(lens.numbers)) as advance:
        seen = write_lens(lens, out, pages=pages, advance=advance)
    if json_output:
        print_json([asdict(each) for each in seen])
    else:
        head = ("point", "lens", "tokens", "mean", "words", "most frequent", "its share")
        rows = [
            (
                *(each.point, each.lens, f"{each.tokens:,}", f"{each.mean:.3f}", f"{each.words:,}"),
                *(repr(each.most_frequent), f"{100 * each.share:.1f} %"),
            )
            for each in seen
        ]
        print("\n".join(text_table(head, rows, right=("tokens", "mean", "words", "its share"))))


@app.command()
def compare(one: OneLens, other: OtherLens, json_output: Json = False) -> None:
    """Compare the words of the same tokens in two indices, such as one of all phrases and one of a few.

    Says at each point and by each lens for how many tokens the nearest word is the same, and how many of the nearest
    words both have. Where a hundredth of the phrases gives the same words, the others need not be indexed.

    Example: foresight lens compare lens/all lens/few
    """
    from dataclasses import asdict

    from foresight_probes.lens.word_overlap import overlaps
    from pipelines.output import print_json
    from pipelines.tables import text_table

    found = overlaps(_table_of(one), _table_of(other))
    if json_output:
        print_json([asdict(each) for each in found])
        return
    head = ("point", "lens", "tokens", "same nearest", "words of both")
    rows = [(each.point, each.lens, f"{each.tokens:,}", f"{each.same:.3f}", f"{each.shared:.3f}") for each in found]
    print("\n".join(text_table(head, rows, right=head[2:])))


def _table_of(folder: Path) -> Path:
    table = folder / "words.parquet"
    if not table.exists():
        raise UsageError(f"{folder} holds no words.parquet; name a folder that 'foresight lens run' wrote")
    return table
