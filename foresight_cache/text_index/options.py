"""The choices of an index, valid in themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import UsageError
from foresight_cache.lists import split_list
from foresight_cache.option_help import Flag

_USUAL = (1, 2, 4, 8, 16, 24)


def _layers(text: str) -> tuple[int, ...]:
    if text == "auto":
        return ()
    try:
        return tuple(sorted({int(each) for each in split_list(text, "--layers")}))
    except ValueError:
        raise UsageError(f"--layers is {text!r}, expected numbers such as 1,2,4,8, or auto") from None


def chosen_layers(asked: Sequence[int], count: int) -> tuple[int, ...]:
    """Returns the layers that an index of a language model with `count` layers keeps, in order.

    Without any asked for they are LatentLens' own: 1, 2, 4, 8, 16, 24 as far as there are, and the two before the
    last. Raises `UsageError` for one that the model has not, and for the last.

    >>> chosen_layers((), 28), chosen_layers((), 4)
    ((1, 2, 4, 8, 16, 24, 26, 27), (1, 2, 3))
    """
    usual = {layer for layer in (*_USUAL, count - 2, count - 1) if 0 < layer < count}
    for layer in asked:
        if layer == count:
            raise UsageError(
                f"--layers names {layer}, the last of {count}: transformers' hidden_states[{layer}] is after the final "
                f"norm and not what llm.layer_{layer:02d} is; name layers from 0 (embeddings) to {count - 1}"
            )
        if not 0 <= layer < count:
            raise UsageError(f"--layers names {layer}, expected layers from 0 (embeddings) to {count - 1}")
    return tuple(sorted(set(asked) or usual))


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexOptions:
    """What of a corpus an index keeps."""

    layers: Annotated[
        tuple[int, ...],
        Flag(
            help="Layers as hidden_states counts: 0 embeddings, K the output of block K (llm.layer_K).",
            parse=_layers,
            default="auto",
        ),
    ] = field(default=())
    contexts: Annotated[int, Flag(help="Contexts that are kept of each token, at most.", at_least=1)] = 20
    max_rows: Annotated[
        int | None, Flag(help="Rows of each layer, at most, drawn from all.", at_least=1, unset="no limit")
    ] = None
    skip: Annotated[int, Flag(help="Tokens at the start of each phrase that are not kept.", at_least=0)] = 0
    max_tokens: Annotated[int, Flag(help="Tokens of a phrase, at most; a longer one is refused.", at_least=1)] = 512
    seed: Annotated[int, Flag(help="Seed by which contexts are drawn.", at_least=0)] = 0
    rows_per_shard: Annotated[int, Flag(help="Rows of a shard of the index, at least.", at_least=1)] = 4096
    vocabulary: Annotated[
        Literal["keep", "none"],
        Flag(help="Keep input embeddings, final norm and head too, for --embedding and --logit; or none of them."),
    ] = "keep"
    batch_tokens: Annotated[int, Flag(help="Tokens of one forward pass, at most.", at_least=1)] = 4096

    def __post_init__(self) -> None:
        """Raises `UsageError`."""
        for name in ("contexts", "max_tokens", "rows_per_shard", "batch_tokens"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, expected at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextModelOptions:
    """Options of loading a model of which the language model alone is run, on phrases without a chat template."""

    dtype: Annotated[Literal["bfloat16", "float32", "float16"], Flag(help="Number type of the model.")] = "bfloat16"
    device: Annotated[
        str, Flag(help="Device of the model: auto (the first GPU, else the CPU), cpu, cuda, cuda:1 …")
    ] = "auto"
    device_map: Annotated[
        Literal["one", "auto"],
        Flag(
            help="Keep the model on one device, or share it out over all GPUs and the host by accelerate (auto).",
            name="--device-map",
        ),
    ] = "one"
    attention: Annotated[
        str, Flag(help="Attention kernel, as in transformers: sdpa, eager, flash_attention_2 …", name="--attn")
    ] = "sdpa"
    revision: Annotated[
        str | None, Flag(help="Branch, tag or commit of a hub id, as in --model id@revision.", unset="main")
    ] = None

    def loading(self) -> LoadOptions:
        """Returns them as those of any model."""
        return LoadOptions(
            dtype=self.dtype,
            device=self.device,
            device_map=self.device_map,
            attention=self.attention,
            revision=self.revision,
        )
