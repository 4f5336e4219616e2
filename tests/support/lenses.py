"""Indices and caches with known numbers, written through the real writers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch

from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.text_index.index_folder import IndexFolder
from foresight_cache.text_index_files import NUMBERING, TextIndex, open_index
from foresight_cache.writer import CacheWriter
from tests.support import planted

MODEL = {"name": "planted", "weights_digest": "0" * 64, "tokenizer_digest": "1" * 64}
LAYERS = 8
TAPS = [
    *("vit.block_01", "vit.pre_merge", "vit.post_merge", "llm.embed"),
    *(f"llm.layer_{number:02d}" for number in range(1, LAYERS + 1)),
    "llm.final_norm",
]
GRID = planted.grids(0, ragged=False)["merged"]


def write_index(
    path: Path,
    vectors: Mapping[int, np.ndarray],
    rows_per_shard: int = 50,
    words: Sequence[str] = (),
    **changed: Any,
) -> TextIndex:
    """Writes vectors [R, D] by layer; row r is the word `w<r>` unless `words` says others."""
    rows, width = next(iter(vectors.values())).shape
    names = list(words) or [f"w{row}" for row in range(rows)]
    model = {**MODEL, **changed.pop("model", {})}
    layers = {"numbering": NUMBERING, "kept": sorted(vectors), "of": LAYERS, **changed.pop("layers", {})}
    folder = IndexFolder(
        path=path,
        fingerprint={"model": model, "layers": layers, **changed},
        layers=sorted(vectors),
        width=width,
        rows=rows,
        shards=-(-rows // rows_per_shard),
        vocabulary=0,
    )
    folder.create()
    for number, name in enumerate(folder.names):
        part = slice(number * rows_per_shard, (number + 1) * rows_per_shard)
        held = folder.claim(name)
        assert held
        own = names[part]
        columns: dict[str, Sequence[Any]] = {
            **{"token": own, "token_id": list(range(rows))[part]},
            **{"phrase": [f"a phrase of {word}" for word in own], "position": [3] * len(own)},
        }
        tensors = {f"layer_{layer:02d}": torch.tensor(own_RD[part]).bfloat16() for layer, own_RD in vectors.items()}
        folder.commit(held, tensors, columns)
        held.release()
    folder.sweep()
    return open_index(path)


def write_cache(
    path: Path, points: Mapping[str, np.ndarray], captions: Sequence[Sequence[str]] = (), **model: Any
) -> Path:
    """Writes tokens [S, N, D] by point, bfloat16, of samples on a grid of 2 × 3; mean tokens have N = 1.

    Samples have the captions, where some are given, in the place of objects.
    """
    samples = len(next(iter(points.values())))
    layouts = {
        name: PointLayout.fixed("pooled" if "@" in name else "merged", "bfloat16", *tokens.shape[1:])
        for name, tokens in points.items()
    }
    layouts["pixels"] = PointLayout.fixed("pixel", "uint8", 56 * 84, 3)
    described: dict[str, Any] = {**MODEL, "weights": "random", "dtype": "bfloat16", "taps": TAPS, **model}
    layout = CacheLayout(
        fingerprint={"model": described, "dataset": {"name": "planted"}, "input": {"size": "56x84"}},
        samples_per_shard=samples,
        shards=(ShardSource(name="shard-000000.tar", sha256="0" * 64, samples=samples),),
        points=layouts,
    )
    with CacheWriter(path, layout) as writer:
        for pending in writer.pending(tuple(layouts)):
            with writer.shard(pending) as shard:
                for number in range(samples):
                    for name, tokens in points.items():
                        shard.add(number, name, tokens[number].astype(ml_dtypes.bfloat16))
                    shard.add(number, "pixels", planted.values(number, 56 * 84, layouts["pixels"]))
                rows = [planted.good(number, planted.grids(0, ragged=False)) for number in range(samples)]
                if captions:
                    rows = [
                        replace(row, sample=replace(row.sample, annotations={"captions": list(own)}))
                        for row, own in zip(rows, captions, strict=True)
                    ]
                shard.commit(rows)
    return path
