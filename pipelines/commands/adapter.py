from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.options import Json
from pipelines.completion import complete_adapters, complete_cached_points

if TYPE_CHECKING:
    from foresight_probes.adapters.plan import AdapterRequest
    from foresight_probes.options import TrainingOptions

app = typer.Typer(rich_markup_mode="markdown")
"""`foresight adapter train`."""

Tokens = Annotated[
    list[str],
    typer.Argument(help="Folder, zip file or URL (s3://…) of a cache of tokens, or of several.", metavar="TOKENS"),
]
Latents = Annotated[str, typer.Option(help="Cache of the latents of the same clips (--model …/vae).", metavar="CACHE")]
Out = Annotated[Path, typer.Option(help="Folder for the results, one JSON and one table per run.")]
Adapters = Annotated[
    str,
    typer.Option(
        "--adapter",
        help="Comma-separated adapters: cross-attention, dual-stream, hybrid, mlp, multi-scale.",
        autocompletion=complete_adapters,
    ),
]
Points = Annotated[
    str,
    typer.Option(
        help="Comma-separated points or patterns; A+B for adapters of several, 2:A for a point of the second cache.",
        autocompletion=complete_cached_points,
    ),
]
Capacities = Annotated[str, typer.Option("--capacity", help="Comma-separated millions of parameters, such as 1,5,10.")]
Seeds = Annotated[str, typer.Option(help="Comma-separated random seeds, a run each.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training split.", show_default="100")]
BatchSize = Annotated[int | None, typer.Option(help="Samples per step.", show_default="16")]
Patience = Annotated[
    int | None,
    typer.Option(help="Epochs without a better validation error after which training stops.", show_default="20"),
]
Rate = Annotated[
    float | None, typer.Option("--lr", help="Peak learning rate.", show_default="by width: 0.002 up to 256 channels")
]
Folds = Annotated[
    int | None,
    typer.Option(
        help="Parts of the groups that are each tested once, for few samples.", show_default="none: one test split"
    ),
]
Decode = Annotated[
    bool,
    typer.Option("--decode/--no-decode", help="Decode latents by the frozen VAE and compare pictures with the oracle."),
]
Vae = Annotated[
    str | None,
    typer.Option(help="The VAE, hub id or local directory.", show_default="the one that the latents name"),
]
Lpips = Annotated[
    Path | None,
    typer.Option(help="Folder with the network's weights of LPIPS.", show_default="torch's cache of downloads"),
]
Prune = Annotated[
    str | None,
    typer.Option(help="Comma-separated shares of tokens, the largest by norm, for a curve.", show_default="none"),
]
Device = Annotated[
    str | None, typer.Option(help="Device to train and decode on: auto, cpu, cuda.", show_default="auto")
]


@app.callback()
def group() -> None:
    """Carry cached tokens into the latents of a video generator, and measure what arrives.

    Example: foresight adapter train caches/qwen --latents caches/vae --adapter mlp --points E4 --out adapters
    """


@app.command()
def train(
    tokens: Tokens,
    latents: Latents,
    points: Points,
    out: Out,
    adapter: Adapters = "mlp",
    capacity: Capacities = "1",
    seeds: Seeds = "0",
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    patience: Patience = None,
    lr: Rate = None,
    folds: Folds = None,
    decode: Decode = True,
    vae: Vae = None,
    lpips_weights: Lpips = None,
    prune: Prune = None,
    device: Device = None,
    json_output: Json = False,
) -> None:
    """Train adapters from tokens to latents from caches alone, and compare predictions with the VAE's round trip.

    Samples are joined by id, and split by group. The epoch is selected on validation, where the mean latent takes part;
    runs that are in OUT already are not trained again, and one that was killed goes on. dual-stream and hybrid are
    trained without each of their streams too.

    Example: foresight adapter train caches/qwen --latents caches/vae --adapter mlp --points E4 --out adapters
    """
    from foresight_cache.lists import split_list
    from foresight_probes.adapters.plan import OPTIONS, AdapterRequest

    words: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "patience": patience, "learning_rate": lr}
    words |= {"folds": folds, "device": device}
    options: TrainingOptions = replace(OPTIONS, **{name: value for name, value in words.items() if value is not None})
    request = AdapterRequest(
        adapters=tuple(split_list(adapter, "--adapter")),
        points=tuple(split_list(points, "--points")),
        capacities=_numbers(capacity, "--capacity"),
        seeds=tuple(map(int, _numbers(seeds, "--seeds", whole=True))),
        options=options,
    )
    _carry_out(
        tokens,
        latents,
        request,
        out,
        json_output=json_output,
        decode=decode,
        vae=vae,
        lpips_weights=lpips_weights,
        shares=() if prune is None else _numbers(prune, "--prune"),
    )


def _carry_out(
    tokens: list[str], latents: str, request: "AdapterRequest", out: Path, *, json_output: bool, **how: Any
) -> None:
    from foresight_probes.adapters import summary
    from foresight_probes.adapters.preparing import open_work
    from pipelines.output import make_folder, print_json
    from pipelines.progress_bar import progress, say
    from pipelines.tables import text_table

    with progress("load", None):
        work = open_work(tokens, latents, request, out, **how)
    make_folder(out)
    if left_out := work.plan.aligned.left_out:
        say(f"{left_out} of {len(work.plan.aligned.latents)} samples are left out: quarantined in one of the caches")
    with progress("adapter", None) as advance:
        finished = list(work.results(advance))
    found = summary.summary_json(work.plan, finished)
    summary.write_summary(work.plan, found)
    for remark in summary.remarks(finished):
        say(remark)
    if json_output:
        print_json(found)
        return
    head, rows = summary.table_rows(finished)
    print("\n".join(text_table(head, rows, right=head[2:])))
    for line in (*map(str, summary.contributions(work.plan, finished)), *summary.pruning_lines(finished)):
        print(line)


def _numbers(text: str, option: str, *, whole: bool = False) -> tuple[float, ...]:
    """Returns the numbers of a list. Raises `UsageError` for what is none, and for numbers that are not above 0."""
    from foresight_cache.errors import UsageError
    from foresight_cache.lists import split_list

    kind = int if whole else float
    try:
        numbers = tuple(kind(part) for part in split_list(text, option))
    except ValueError:
        raise UsageError(f"{option} is {text!r}, expected numbers with commas between them, such as 1,5") from None
    if any(not 0 < number < 1e6 and not (whole and number >= 0) for number in numbers):
        raise UsageError(f"{option} is {text!r}, expected numbers above 0")
    return numbers
