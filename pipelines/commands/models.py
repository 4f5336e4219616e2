from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipelines.commands.options import Json, is_own_call

if TYPE_CHECKING:
    from foresight_cache.encoders import Encoder

app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
"""`foresight models` and `foresight models show`."""

Model = Annotated[
    str, typer.Argument(help="Hugging Face id, local directory, tiny:FAMILY or random:MODEL.", metavar="MODEL")
]
Size = Annotated[
    str | None,
    typer.Option(
        help="Input size in pixels: a square's side or HEIGHTxWIDTH.", show_default="448, or what is nearest to it"
    ),
]
DType = Annotated[
    Literal["bfloat16", "float32", "float16"], typer.Option(help="Number type of the model and of the stored values.")
]


Table = Annotated[
    bool,
    typer.Option("--table", help="Print the families as the Markdown table of the documentation.", show_default="off"),
]


@app.callback()
def run(context: typer.Context, table: Table = False, json_output: Json = False) -> None:
    """List the model families and where features can be taken from them.

    A family is chosen by the model itself: by the model_type of its config.json. 'tiny:' before its name is a small
    model of the same classes with random weights; 'random:' before a model is that model with random weights.

    Example: foresight models show Qwen/Qwen2.5-VL-7B-Instruct --size 448x672
    """
    if not is_own_call(context, json_output):
        return
    from foresight_cache.encoders import LoadOptions, describe, names
    from pipelines.output import print_json

    encoders = [describe(f"tiny:{name}", LoadOptions(device="cpu")) for name in names()]
    rows = [{"family": encoder.family, "media": list(encoder.media), "taps": _kinds(encoder)} for encoder in encoders]
    if json_output:
        print_json(rows)
        return
    if table:
        print("\n".join(_markdown(encoders)))
        return
    width = max(len(encoder.family) for encoder in encoders)
    for row in rows:
        print(f"{row['family']:{width}}  {' and '.join(f'{media}s' for media in row['media'])}")
        print(f"{'':{width}}  {' '.join(row['taps'])}")


@app.command()
def show(model: Model, size: Size = None, dtype: DType = "bfloat16", json_output: Json = False) -> None:
    """Show every tap of a model with its width, grid and bytes per sample, from its configuration alone.

    The last column has the aliases that --points understands.

    Example: foresight models show tiny:qwen2_5_vl --size 224
    """
    from foresight_cache.encoders import LoadOptions, describe
    from foresight_cache.errors import UsageError
    from foresight_cache.extraction.input_size import USUAL_SIZE, InputSize
    from pipelines.output import print_json

    encoder = describe(model, LoadOptions(dtype=dtype, device="cpu"))
    fixed = InputSize.parse(size or USUAL_SIZE).fixed
    if fixed is None:
        raise UsageError("with native sizes every input has a grid of its own; name one with --size HEIGHTxWIDTH")
    height, width = fixed if size else encoder.nearest_size(*fixed)
    rows = _rows(encoder, height, width)
    if json_output:
        told = {"hindrance": encoder.hindrance} if encoder.hindrance else {}
        print_json({"model": model, "family": encoder.family, "size": [height, width], "taps": rows, **told})
        return
    print(f"{model}: family {encoder.family}, an image of {height} × {width} pixels, {dtype}")
    print("\n".join(_table(rows)))
    if encoder.hindrance:
        print(f"its weights cannot be loaded here: they are {encoder.hindrance}")


def _rows(encoder: "Encoder", height: int, width: int) -> list[dict[str, Any]]:
    """A row for each tap, in the order of computation."""
    from foresight_cache.format.layout import NUMPY_DTYPES
    from foresight_cache.points import aliases, numbered_layers

    named: dict[str, list[str]] = {}
    dtype = encoder.options.dtype
    taps = [tap.name for tap in encoder.taps]
    for alias, tap_name in (*aliases(taps).items(), *numbered_layers(taps).items()):
        named.setdefault(tap_name, []).append(alias)
    rows = []
    for tap in encoder.taps:
        grid = encoder.grid(tap.level, 1, height, width)
        size = grid.tokens * tap.width * NUMPY_DTYPES["uint8" if tap.level == "pixel" else dtype].itemsize
        rows.append(
            {
                "tap": tap.name,
                "level": tap.level,
                "grid": list(grid),
                "width": tap.width,
                "bytes_per_sample": size,
                "class_token": tap.leading > 0,
                "aliases": named.get(tap.name, []),
            }
        )
    return rows


def _table(rows: list[dict[str, Any]]) -> list[str]:
    from foresight_cache.runtime.progress import format_bytes
    from pipelines.tables import text_table

    cells = [
        (
            row["tap"],
            " × ".join(map(str, row["grid"])),
            f"{row['width']:,}",
            format_bytes(row["bytes_per_sample"]),
            "@cls" if row["class_token"] else "",
            " ".join(row["aliases"]),
        )
        for row in rows
    ]
    return text_table(("tap", "grid", "width", "per sample", "class token", "alias"), cells)


def _markdown(encoders: "list[Encoder]") -> list[str]:
    """Lines of a table of families: classes, media, sizes, and whether visual tokens see all of the prompt."""
    rows = [
        (
            f"`{encoder.family}`",
            f"`{encoder.model_class}`",
            ", ".join(f"{media}s" for media in encoder.media),
            encoder.sizes,
            ("yes" if encoder.sees_prompt else "no") if encoder.takes_prompt else "",
        )
        for encoder in encoders
    ]
    head = (
        "family",
        "class of `transformers` or `diffusers`",
        "takes",
        "sizes in pixels",
        "tokens see all of the prompt",
    )
    first, *others = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return [first, "|" + "---|" * len(head), *others]


def _kinds(encoder: "Encoder") -> list[str]:
    """Names of taps, with one for all blocks and one for all layers."""
    numbered = ("vit.block_", "llm.layer_")
    kinds = [next((f"{start}KK" for start in numbered if tap.name.startswith(start)), tap.name) for tap in encoder.taps]
    return list(dict.fromkeys(kinds))
