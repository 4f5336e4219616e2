"""The check of the order of tokens on a model's own weights: it passes for all families and finds another order."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.encoders.capture import order
from foresight_cache.encoders.qwen2_5_vl import Family as Qwen
from foresight_cache.errors import FeatureError
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.order_check import OrderCheck, check_orders
from foresight_cache.extraction.order_scores import PENALTIES, patch_targets, places, ridge_scores
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import PointLayout
from foresight_cache.points import Point
from foresight_cache.samples import Grid, Sample
from foresight_cache.shards import ShardSet, open_shards
from foresight_cache.token_order import ORDERS, best_order, described
from foresight_cache.verify import verify
from tests.support.command import foresight
from tests.support.extracting import extraction_options
from tests.support.photographs import Pictures, clouds, crops
from tests.support.preparing import prepare

FLOAT = LoadOptions(dtype="float32", device="cpu")
Features = dict[str, list[np.ndarray]]


def computed(encoder: Encoder, pictures: Pictures, points: list[str]) -> Features:
    found: dict[str, list[np.ndarray]] = {point: [] for point in points}
    for start in range(0, len(pictures), 8):
        batch = [picture[np.newaxis] for picture in pictures[start : start + 8]]
        for point, samples in encoder.forward(encoder.preprocess(batch, "image"), points).items():
            found[point] += [sample.numpy() for sample in samples]
    return found


def scores(encoder: Encoder, pictures: Pictures, features: Features, chosen: Any) -> dict[str, dict[str, float]]:
    """The scores of the chosen samples, as if they were a shard."""
    size = pictures[0].shape[:2]
    grids = {level: encoder.grid(level, 1, *size) for level in ("patch", "merged")}
    levels = {tap.name: tap.level for tap in encoder.taps}
    layouts = {
        point: PointLayout.fixed(levels[point], "float32", grids[levels[point]].tokens, samples[0].shape[1])
        for point, samples in features.items()
    }
    rows = [row(number, grids) for number in range(len(chosen))]
    height, width = encoder.seen_size(*size)
    check = OrderCheck(layouts, len(chosen))
    check.add(
        range(len(chosen)),
        rows,
        [pictures[number][np.newaxis, :height, :width] for number in chosen],
        {point: [samples[number] for number in chosen] for point, samples in features.items()},
    )
    return check.scores()


def row(number: int, grids: dict[str, Grid]) -> SampleRow:
    name = f"d/train/{number}"
    sample = Sample(
        id=name, dataset="d", split="train", group=name, media="image", file_name=f"{number}.png", width=9, height=9
    )
    return SampleRow(sample=sample, status="ok", reason=None, grids=grids)


# What is computed, beside other code.


@pytest.mark.parametrize("grid", [Grid(1, 8, 8), Grid(2, 16, 24), Grid(1, 10, 18)])
def test_orders_are_those_of_processor_and_tower(grid: Grid) -> None:
    """Held to the corrections of Qwen2.5-VL, which ask the model's own code for its windows of 112 pixels."""
    qwen = Qwen.load("tiny:qwen2_5_vl", FLOAT)
    units = Grid(grid.t, grid.h // 2, grid.w // 2)
    windows = qwen.window_units([grid])
    expected = {
        ("merge_groups", False): order.merge_group_order([grid], 2),
        ("windows", False): order.window_patch_order([grid], 2, windows),
        ("windows", True): windows,
    }
    for (name, merged), positions in expected.items():
        assert places(name, units if merged else grid, merged=merged).tolist() == positions.tolist()
    # Where only the windows are left, what a hook sees is put in its place as if it were in merge groups.
    left = order.window_patch_order([grid], 2, windows)[order.inverse(order.merge_group_order([grid], 2))]
    assert places("window_units", grid, merged=False).tolist() == left.tolist()


@pytest.mark.parametrize("size", [(1, 42, 28), (2, 30, 46), (1, 70, 70)])
def test_patches_are_described_by_colours_and_gradients(size: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    grid = Grid(1, size[1] // 14, size[2] // 14)
    side = (size[1] // grid.h, size[2] // grid.w)
    if size[1] % 14 or size[2] % 14:
        pixels = pixels[:, : grid.h * side[0], : grid.w * side[1]]
    found = patch_targets(pixels, grid, np.arange(grid.tokens))
    for cell in range(grid.tokens):
        y, x = divmod(cell, grid.w)
        patch = pixels[:, y * side[0] : (y + 1) * side[0], x * side[1] : (x + 1) * side[1]].astype(float).mean(axis=0)
        grey = patch.mean(axis=2)
        across, down = np.diff(grey, axis=1), np.diff(grey, axis=0)
        expected = [*patch.mean(axis=(0, 1)), across.mean(), down.mean(), abs(across).mean(), abs(down).mean()]
        np.testing.assert_allclose(found[cell], expected, rtol=1e-4, atol=1e-3)


def test_scores_are_those_of_a_ridge_regression() -> None:
    draw = np.random.default_rng(0)
    tokens = draw.normal(size=(300, 20)).astype(np.float32) * draw.uniform(0.1, 9, 20).astype(np.float32) + 3
    told = (tokens @ draw.normal(size=(20, 7)) * 9 + draw.normal(size=(300, 7)) * 40).astype(np.float32)
    untold = draw.normal(size=(300, 7)).astype(np.float32) * 40
    tested = np.arange(300) % 3 == 2
    trained = ~tested
    standard = (tokens - tokens[trained].mean(axis=0)) / tokens[trained].std(axis=0)
    expected = []
    for targets in (told, untold):
        fits = [Ridge(alpha=penalty * trained.sum()).fit(standard[trained], targets[trained]) for penalty in PENALTIES]
        expected.append(max(0.0, *(r2_score(targets[tested], fit.predict(standard[tested])) for fit in fits)))
    assert ridge_scores(tokens, [told, untold], tested) == pytest.approx(expected, abs=1e-3)
    assert ridge_scores(tokens, [np.ones_like(told)], tested) == [0.0]


# Runs with real and with random weights.

REAL = "models/dinov2-small-saliency"
WEIGHTS = {
    "real": ("", REAL, ["vit.block_03", "vit.block_09"]),
    "random": ("tiny:", "qwen2_5_vl", ["vit.block_02", "vit.pre_merge", "vit.post_merge", "llm.layer_02"]),
    "random weights of the real size": ("random:", REAL, ["vit.block_02", "vit.block_10"]),
}


@pytest.fixture(scope="module", params=WEIGHTS)
def pool(request: pytest.FixtureRequest) -> tuple[Encoder, Pictures, Features]:
    """Features of 40 pictures of 12 × 12 patches, or 16 × 16, at some depths."""
    scheme, model, points = WEIGHTS[request.param]
    if model == REAL:
        assets: Path = request.getfixturevalue("assets")
        model, pictures = str(assets / REAL), crops(assets, 40, 168)
    else:
        pictures = clouds(40, 224)
    encoder = encoders.load(f"{scheme}{model}", FLOAT, points)
    return encoder, pictures, computed(encoder, pictures, points)


@pytest.mark.parametrize("runs", [5, pytest.param(20, marks=pytest.mark.simulation)])
@pytest.mark.parametrize("wrong", [None, *ORDERS[1:]])
def test_all_of_many_runs(pool: tuple[Encoder, Pictures, Features], wrong: str | None, runs: int) -> None:
    encoder, pictures, features = pool
    levels = {tap.name: tap.level for tap in encoder.taps}
    changed = features
    if wrong:
        changed = {}
        for point, samples in features.items():
            grid = encoder.grid(levels[point], 1, *pictures[0].shape[:2])
            seen = places(wrong, grid, merged=encoder.takes_prompt and levels[point] == "merged")
            changed[point] = [sample[seen] for sample in samples]
    for seed in range(runs):
        chosen = np.random.default_rng(seed).permutation(len(pictures))[:24]
        found = scores(encoder, pictures, changed, chosen)
        if wrong is None:
            check_orders(found)
            assert {best_order(of_point) for of_point in found.values()} == {"raster"}
        else:
            with pytest.raises(FeatureError, match="and not in raster order"):
                check_orders(found)
            assert "raster" not in {best_order(of_point) for of_point in found.values()}


# Extractions.


def leave_merge_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "merge_group_order", lambda grids, _: torch.arange(sum(grid.tokens for grid in grids)))


def leave_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Qwen, "window_units", lambda _, grids: torch.arange(sum(grid.tokens for grid in grids) // 4))


def leave_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Qwen, "order_at", lambda *_: None)


CORRECTIONS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "merge groups": (leave_merge_groups, "vit.patch_embed is in the order of merge groups and"),
    "windows": (leave_windows, "vit.block_03 is in the order of merge groups in windows"),
    "all": (leave_all, "vit.patch_embed is in the order of merge groups and"),
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("clouds")
    (folder / "raw").mkdir()
    for number, picture in enumerate(clouds(24, 224)):
        Image.fromarray(picture).save(folder / f"raw/{number:02d}.png")
    prepare("image-folder", root=folder / "raw", out=folder / "S")
    return open_shards(folder / "S")


@pytest.mark.parametrize("name", CORRECTIONS)
def test_an_extraction_without_a_correction_stops_and_harms_nothing(
    name: str, shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qwen = encoders.load("tiny:qwen2_5_vl", LoadOptions(device="cpu"))
    extract(shards, qwen, extraction_options([Point("llm.embed")], "224"), tmp_path / "C")
    before = {path: path.read_bytes() for path in (tmp_path / "C").rglob("*") if path.is_file()}
    break_it, message = CORRECTIONS[name]
    break_it(monkeypatch)
    more = extraction_options([Point("vit.patch_embed"), Point("vit.block_03")], "224")
    with pytest.raises(FeatureError, match=f"^{message}"):
        extract(shards, qwen, more, tmp_path / "C")
    assert all(path.read_bytes() == data for path, data in before.items() if path.name != "zarr.json")
    assert len(open_cache(tmp_path / "C")["llm.embed"][0]) == 64
    monkeypatch.undo()
    extract(shards, qwen, more, tmp_path / "C")  # and with it, it goes on
    assert verify(open_cache(tmp_path / "C")) == []


def test_scores_are_kept_and_shown(shards: ShardSet, tmp_path: Path) -> None:
    qwen = encoders.load("tiny:qwen2_5_vl", LoadOptions(device="cpu"))
    points = [Point("vit.block_03"), Point("vit.block_03", "mean"), Point("vit.post_merge")]
    extract(shards, qwen, extraction_options(points, "224"), tmp_path / "C")
    cache = open_cache(tmp_path / "C")
    kept = {point: entry.get("order") for point, entry in cache.commits[0].objects.items()}
    assert set(kept["vit.block_03"] or ()) == set(ORDERS)
    assert kept["vit.block_03@mean"] is kept["pixels"] is None
    assert described(cache.commits) == {"order": "raster at 2 of 2 points, by what tokens tell of patches"}
    shown = foresight("inspect", tmp_path / "C").stdout
    assert "order       raster at 2 of 2 points" in shown
    assert re.search(rf"vit.block_03 +{kept['vit.block_03']['raster']}", shown)  # type: ignore[index]
    again = tmp_path / "D"
    extract(shards, qwen, extraction_options(points, "224"), again)
    assert (again / "samples/000000.json").read_bytes() == (tmp_path / "C/samples/000000.json").read_bytes()


def test_few_samples_are_too_few_to_tell_and_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_all(monkeypatch)
    prepare("shapes", out=tmp_path / "S", limit=11)
    qwen = encoders.load("tiny:qwen2_5_vl", LoadOptions(device="cpu"))
    extract(open_shards(tmp_path / "S"), qwen, extraction_options([Point("vit.block_03")], "112"), tmp_path / "C")
    assert "order       too few samples to tell\n" in foresight("inspect", tmp_path / "C").stdout


def test_where_no_order_wins_it_is_said_and_stops_nothing(tmp_path: Path) -> None:
    """Tokens that have forgotten what they saw."""
    (tmp_path / "raw").mkdir()
    for number, picture in enumerate(clouds(16, 224)):
        Image.fromarray(picture).save(tmp_path / f"raw/{number:02d}.png")
    prepare("image-folder", root=tmp_path / "raw", out=tmp_path / "S")
    dinov2, draw = encoders.load("tiny:dinov2", FLOAT), torch.Generator().manual_seed(0)

    def forgetting(inputs: Any, points: Any) -> Any:
        features = dinov2.forward(inputs, points)
        return {point: [torch.randn(s.shape, generator=draw) for s in samples] for point, samples in features.items()}

    options = extraction_options([Point("vit.block_02")], "224")
    extract(open_shards(tmp_path / "S"), dinov2, options, tmp_path / "C", forward=forgetting)
    said = described(open_cache(tmp_path / "C").commits)["order"]
    assert said.endswith(
        "raster at 0 of 1 points, by what tokens tell of patches; no order wins clearly at vit.block_02"
    )


@pytest.mark.parametrize("family", encoders.names())
def test_it_passes_for_every_family(family: str) -> None:
    encoder = encoders.load(f"tiny:{family}", FLOAT)
    side = encoder.nearest_size(224, 224)[0]
    pictures = clouds(24, side)
    points = [tap.name for tap in encoder.taps if tap.level != "pixel"]
    found = scores(encoder, pictures, computed(encoder, pictures, points), range(24))
    check_orders(found)
    assert best_order(found.get("vit.block_01", found.get("vae.latent", {}))) == "raster"
    assert set(map(best_order, found.values())) <= {"raster", None}
