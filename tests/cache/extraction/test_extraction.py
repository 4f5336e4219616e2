"""The loop: what stops it, and what it leaves behind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import FeatureError, UsageError
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.geometry import input_placement
from foresight_cache.points import resolve
from foresight_cache.shards import ShardSet, open_shards
from foresight_cache.verify import verify
from tests.support.extracting import extraction_options
from tests.support.preparing import prepare


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("extraction")
    prepare("shapes", out=folder / "S", limit=6, samples_per_shard=4)
    return open_shards(folder / "S")


def options(*points: str, **others: int) -> ExtractionOptions:
    encoder = encoders.load("tiny:qwen2_5_vl", LoadOptions())
    found = resolve(points, [tap.name for tap in encoder.taps])
    return extraction_options(found, "112", **others)


def spoilt() -> Encoder:
    """A model that turns one weight of its sixth block into NaN."""
    encoder = encoders.load("tiny:qwen2_5_vl", LoadOptions())
    with torch.no_grad():
        encoder.model.model.visual.blocks[5].mlp.down_proj.weight[3, 3] = float("nan")
    return encoder


def test_features_that_are_no_numbers_stop_the_job_and_name_the_place(shards: ShardSet, tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match=r"vit\.pre_merge of sample shapes/train/000000000000 holds NaN"):
        extract(shards, spoilt(), options("E1", "E4"), tmp_path / "C")
    assert len(open_cache(tmp_path / "C")) == 0


def test_a_model_that_gives_old_features_stops_the_job(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second batch on it answers with what it said of the first."""
    encoder = encoders.load("tiny:qwen2_5_vl", LoadOptions())
    said: list[dict[str, list[torch.Tensor]]] = []
    forward = encoder.forward

    def old(*arguments: Any) -> dict[str, list[torch.Tensor]]:
        said.append(said[0] if said else forward(*arguments))
        return said[-1]

    monkeypatch.setattr(encoder, "forward", old)
    with pytest.raises(FeatureError, match=r"of sample shapes/train/\d+ is that of sample shapes/train/000000000000"):
        extract(shards, encoder, options("E1", "E4", batch_tokens=64), tmp_path / "C")
    assert len(open_cache(tmp_path / "C")) == 0


def test_points_before_the_fault_are_not_blamed(shards: ShardSet, tmp_path: Path) -> None:
    extract(shards, spoilt(), options("E1", "E3"), tmp_path / "C")
    assert len(open_cache(tmp_path / "C")) == 6


def test_progress_counts_every_sample_and_byte(shards: ShardSet, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    encoder = encoders.load("tiny:qwen2_5_vl", LoadOptions())
    extract(shards, encoder, options("E1"), tmp_path / "C", lambda samples, size: told.append((samples, size)))
    assert [samples for samples, _ in told] == [4, 2]
    on_disk = sum(path.stat().st_size for path in (tmp_path / "C").rglob("c/*/0/0"))
    assert sum(size for _, size in told) == on_disk


@pytest.mark.parametrize("name", ["frames", "batch_tokens", "workers"])
def test_options_must_be_positive(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is 0, expected at least 1"):
        options("E1", **{name: 0})


def test_labels_and_letterbox_travel_in_the_cache(assets: Path, tmp_path: Path) -> None:
    """Dense labels lie on the grid of the pixels, resized without mixing, with the border that the pixels have."""
    prepare("ade20k", root=assets / "data/ADEChallengeData2016", out=tmp_path / "S", split="validation", partial=True)
    encoder = encoders.load("tiny:qwen2_5_vl", LoadOptions())
    letterbox = replace(options("E1"), inputs=InputSpec(size=InputSize.parse("112"), fit="letterbox"))
    extract(open_shards(tmp_path / "S"), encoder, letterbox, tmp_path / "C")
    cache = open_cache(tmp_path / "C")
    assert (cache.points, cache.arrays) == (("vit.patch_embed", "pixels"), ("vit.patch_embed", "labels", "pixels"))
    assert verify(cache) == []
    for index, row in enumerate(cache.rows):
        path = assets / "data/ADEChallengeData2016" / row["file_name"].replace("images", "annotations")
        original = np.asarray(Image.open(path.with_suffix(".png")))
        labels, pixels = cache["labels"].grid(index)[0, ..., 0], cache["pixels"].grid(index)[0]
        placed = input_placement(row)
        y, x = np.mgrid[: labels.shape[0], : labels.shape[1]]
        source_y = ((y - placed.top + 0.5) * original.shape[0] / placed.inner_height).astype(int)
        source_x = ((x - placed.left + 0.5) * original.shape[1] / placed.inner_width).astype(int)
        border = (y < placed.top) | (y >= placed.top + placed.inner_height)
        border |= (x < placed.left) | (x >= placed.left + placed.inner_width)
        assert border.any()
        assert (labels[border] == 0).all()
        assert (pixels[border] == 128).all()
        assert (labels[~border] == original[source_y[~border], source_x[~border]]).mean() > 0.999
