"""Published indices, read as numbers and JSON, never as pickles.

PUBLISHED/layer_8/embeddings.npy      or embeddings.safetensors with `embeddings`: [rows, channels] of floats
PUBLISHED/layer_8/metadata.json       a list of {"token_str", "token_id", "caption", "position"}, one for each row;
                                      or PUBLISHED/metadata.json for all layers
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foresight_cache.errors import Interrupted, TextIndexError
from foresight_cache.runtime.interruption import deferred_interrupts
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.runtime.renewal import renewed
from foresight_cache.text_index.index_folder import IndexFolder
from foresight_cache.text_index_files import COLUMNS, NUMBERING, layer_name, sha256_of

_LAYER = re.compile(r"layer_?0*(\d+)")
_FIELDS = {"token": "token_str", "token_id": "token_id", "phrase": "caption", "position": "position"}
_ROWS = 4096
"""Rows of a shard."""
_PICKLE = "embeddings_cache.pt"
AS_EXPECTED = (
    "folders layer_N, each with embeddings.npy (or embeddings.safetensors) and metadata.json, a list of token_str, "
    "token_id, caption, position"
)


@dataclass(frozen=True)
class Importing:
    """All that reading a published index needs to know."""

    published: Path
    model: str
    """Name of the model that the index is of, as caches of it have it; published indices do not say it."""
    out: Path

    @cached_property
    def layers(self) -> dict[int, Path]:
        """Folders by layer, in order. Raises `TextIndexError`."""
        pickles = sorted(self.published.rglob(_PICKLE)) if self.published.is_dir() else []
        folders = {
            int(match[1]): path
            for path in (sorted(self.published.iterdir()) if self.published.is_dir() else [])
            if path.is_dir() and (match := _LAYER.fullmatch(path.name)) and _vectors(path)
        }
        if not folders and pickles:
            raise TextIndexError(
                f"{pickles[0]} is a pickle, which can run any program and is not read; where you trust it, load it by "
                "torch.load, save its 'embeddings' by numpy.save as embeddings.npy and its 'metadata' by json.dump as "
                "metadata.json beside it, and import again"
            )
        if not folders:
            raise TextIndexError(f"{self.published} holds no published index; expected {AS_EXPECTED}")
        return dict(sorted(folders.items()))

    @cached_property
    def table(self) -> dict[str, list[Any]]:
        """Columns of the rows, which all layers must share. Raises `TextIndexError`."""
        tables = {layer: _table(folder) for layer, folder in self.layers.items()}
        (first, table), *others = tables.items()
        for layer, other in others:
            if other != table:
                raise TextIndexError(
                    f"{self.layers[layer]} has other rows than layer {first}; all layers must have the same tokens"
                )
        return table

    @cached_property
    def folder(self) -> IndexFolder:
        rows, width = len(self.table["token"]), 0
        for layer, path in self.layers.items():
            shape = tuple(_open(path).shape)
            width = width or shape[-1]
            if shape != (rows, width) or not rows:
                raise TextIndexError(
                    f"{path} has embeddings {list(shape)} of layer {layer}, expected {[rows, width]}, as its metadata "
                    "and the first layer have"
                )
        files = {
            f"{path.name}/{file.name}": sha256_of(file) for path in self.layers.values() for file in path.iterdir()
        }
        return IndexFolder(
            path=self.out,
            fingerprint={
                "model": {"name": self.model},
                "layers": {"numbering": NUMBERING, "kept": list(self.layers), "of": None},
                "imported": files,
            },
            layers=list(self.layers),
            width=width,
            rows=rows,
            shards=-(-rows // _ROWS),
            vocabulary=0,
        )


def import_index(plan: Importing, advance: Advance = silent) -> None:
    """Writes the shards of a published index that are missing, bfloat16. Raises `TextIndexError`."""
    folder = plan.folder
    folder.create()
    vectors = {layer: _open(path) for layer, path in plan.layers.items()}
    with deferred_interrupts() as check:
        for number, name in enumerate(folder.names):
            held = folder.claim(name)
            if held is None:
                continue
            with renewed(held):
                rows = slice(number * _ROWS, (number + 1) * _ROWS)
                tensors = {layer_name(layer): _part(own, rows, layer) for layer, own in vectors.items()}
                columns = {column: values[rows] for column, values in plan.table.items()}
                size = folder.commit(held, tensors, columns)
            held.release()
            advance(len(columns["token"]), size)
            check()
    folder.sweep()
    if left := folder.missing(folder.names):
        raise Interrupted(f"other processes import {len(left)} shards of {plan.out}; run it again once they have ended")


def _vectors(folder: Path) -> Path | None:
    found = [folder / f"embeddings{suffix}" for suffix in (".npy", ".safetensors")]
    return next((path for path in found if path.exists()), None)


def _open(folder: Path) -> Any:
    """Returns the vectors of a layer, which can be sliced, unread. Raises `TextIndexError`."""
    from safetensors import SafetensorError, safe_open

    path = _vectors(folder)
    assert path  # noqa: S101 - it was looked at
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        return _Slice(safe_open(path, "pt").get_slice("embeddings"))  # type: ignore[no-untyped-call]
    except (OSError, ValueError, SafetensorError) as error:
        raise TextIndexError(f"{path} cannot be read ({error}); expected {AS_EXPECTED}") from None


class _Slice:
    """A tensor of a safetensors file, unread, that says its shape as numpy does."""

    def __init__(self, tensor: Any) -> None:
        self._tensor, self.shape = tensor, tuple(tensor.get_shape())

    def __getitem__(self, rows: slice) -> torch.Tensor:
        part: torch.Tensor = self._tensor[rows]
        return part


def _part(vectors: Any, rows: slice, layer: int) -> torch.Tensor:
    part = vectors[rows]
    tensor = part if isinstance(part, torch.Tensor) else torch.from_numpy(np.array(part, np.float32))
    tensor = tensor.float()
    if not bool(torch.isfinite(tensor).all()):
        raise TextIndexError(f"rows {rows.start} and on of layer {layer} are not finite numbers")
    return tensor.to(torch.bfloat16)


def _table(folder: Path) -> dict[str, list[Any]]:
    path = next((own for own in (folder / "metadata.json", folder.parent / "metadata.json") if own.exists()), None)
    if path is None:
        raise TextIndexError(f"{folder} has no metadata.json; expected {AS_EXPECTED}")
    try:
        rows = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise TextIndexError(f"{path} is no JSON ({error}); expected {AS_EXPECTED}") from None
    if not isinstance(rows, list) or not all(map(_is_row, rows)):
        raise TextIndexError(f"{path} is not as expected: {AS_EXPECTED}")
    return {name: [row[_FIELDS[name]] for row in rows] for name in COLUMNS}


def _is_row(row: Any) -> bool:
    if not isinstance(row, Mapping):
        return False
    texts = all(isinstance(row.get(name), str) for name in ("token_str", "caption"))
    return texts and all(type(row.get(name)) is int and row[name] >= 0 for name in ("token_id", "position"))
