"""Batches against what the cache holds, read independently; patches against plain cropping."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresight_cache.errors import ProbeError
from foresight_cache.samples import Grid
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.patches import patchify
from foresight_probes.features.sources import PixelPatches, PointTokens, open_source
from foresight_probes.features.standardization import Standardization, moments_of
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from tests.support import scenes


@pytest.fixture(scope="module")
def ragged(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 40, ragged=True)


SPLIT = Split(train=tuple(range(20)), validation=tuple(range(20, 30)), test=tuple(range(30, 40)), digest="")


def data(cache: "scenes.Cache", point: str, **options: int | str) -> FeatureData:
    return FeatureData(open_source(cache, point), SPLIT, {}, TrainingOptions(batch_size=6, **options))


def test_a_batch_holds_the_cache_s_tokens_and_padding(ragged: "scenes.Cache") -> None:
    batch = data(ragged, "vit.block_01").batch([2, 0])
    features = batch.features
    assert features.mask.sum(1).tolist() == [80, 64]
    np.testing.assert_array_equal(features.tokens[0].float().numpy(), ragged["vit.block_01"][2])
    np.testing.assert_array_equal(features.tokens[1, :64].float().numpy(), ragged["vit.block_01"][0])
    assert not features.tokens[1, 64:].any()
    np.testing.assert_allclose(features.pooled[1].numpy(), ragged["vit.block_01"][0].mean(0), atol=1e-6)


def test_cells_follow_each_sample_s_own_grid(ragged: "scenes.Cache") -> None:
    cells = data(ragged, "vit.block_01").batch([2, 0]).features.cells
    assert cells[0, 10 * 3 + 4].tolist() == pytest.approx([4.5 / 10, 3.5 / 8, 1 / 10, 1 / 8])
    assert cells[1, 8 * 3 + 4].tolist() == pytest.approx([4.5 / 8, 3.5 / 8, 1 / 8, 1 / 8])


def test_pixels_come_in_the_patches_of_the_tokens(ragged: "scenes.Cache") -> None:
    source = PixelPatches(ragged)
    image = ragged["pixels"].grid(1)[0]  # 16×18 pixels, 8×9 tokens
    patch = source.read(1)[9 * 5 + 7]
    np.testing.assert_allclose(patch, image[10:12, 14:16].reshape(-1) / 255, rtol=1e-6)
    assert (source.width, source.grid(1)) == (12, Grid(1, 8, 9))


def test_patches_of_a_clip() -> None:
    clip = np.arange(4 * 6 * 6 * 3).reshape(4, 6, 6, 3)
    patches = patchify(torch.from_numpy(clip), Grid(2, 3, 2))
    for t, y, x in np.ndindex(2, 3, 2):
        crop = clip[2 * t : 2 * t + 2, 2 * y : 2 * y + 2, 3 * x : 3 * x + 3]
        np.testing.assert_array_equal(patches[(t * 3 + y) * 2 + x], crop.reshape(-1))
    with pytest.raises(ProbeError, match="pixels 4×6×6 cannot be cut evenly into a grid 1×4×4"):
        patchify(torch.from_numpy(clip), Grid(1, 4, 4))


def test_resident_or_not_the_batches_are_the_same(ragged: "scenes.Cache") -> None:
    kept, read = data(ragged, "vit.block_01"), data(ragged, "vit.block_01", resident="none")
    for first, second in zip(kept.train_dataloader(), read.train_dataloader(), strict=True):
        assert first.rows == second.rows
        assert torch.equal(first.features.tokens, second.features.tokens)


def test_large_features_are_not_kept(ragged: "scenes.Cache", monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    read = PointTokens.read_into
    monkeypatch.setattr(
        PointTokens, "read_into", lambda self, row, out, **how: reads.append(row) or read(self, row, out, **how)
    )
    list(data(ragged, "vit.block_01", resident="none").train_dataloader())
    assert sorted(reads) == list(range(20))
    size = data(ragged, "vit.block_01").size
    assert size == sum(64 + 8 * (row % 3) for row in range(40)) * scenes.WIDTH * 2


def test_training_order_changes_with_epoch_and_seed_alone(ragged: "scenes.Cache") -> None:
    def epochs(seed: int) -> list[list[int]]:
        loader = data(ragged, "vit.block_01", shuffle_seed=seed).train_dataloader()
        return [[row for batch in loader for row in batch.rows] for _ in range(2)]

    first = epochs(0)
    assert first == epochs(0)
    assert first != epochs(1)
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(first[1]) == list(range(20))
    assert [row for batch in data(ragged, "vit.block_01").val_dataloader() for row in batch.rows] == list(range(20, 30))


def test_standardization_is_that_of_numpy_over_the_training_split(ragged: "scenes.Cache") -> None:
    fitted = data(ragged, "vit.block_01").standardization()
    tokens = np.concatenate([ragged["vit.block_01"][row] for row in range(20)]).astype(np.float64)
    pooled = np.stack([ragged["vit.block_01"][row].astype(np.float64).mean(0) for row in range(20)])
    np.testing.assert_allclose(fitted.token_mean.numpy(), tokens.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted.token_scale.numpy(), tokens.std(0), rtol=1e-5)
    np.testing.assert_allclose(fitted.pooled_mean.numpy(), pooled.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted.pooled_scale.numpy(), pooled.std(0), rtol=1e-4)


def test_standardised_padding_stays_zero_and_constant_channels_too(ragged: "scenes.Cache") -> None:
    batch = data(ragged, "vit.block_01").batch([2, 0])
    features = data(ragged, "vit.block_01").standardization()(batch.features)
    assert not features.tokens[1, 64:].any()
    constant = Standardization.fit(moments_of(np.full((tokens, 2), 1000.1, np.float32)) for tokens in (5, 3))
    assert torch.equal(constant.token_scale, torch.ones(2))


def test_standardising_does_not_change_the_batch(ragged: "scenes.Cache") -> None:
    """It works in place on its own copy; the batch is what the next head or task reads."""
    source = data(ragged, "vit.block_01")
    batch = source.batch([0, 3])
    before = batch.features.tokens.clone()
    source.standardization()(batch.features)
    assert torch.equal(batch.features.tokens, before)


def test_pixels_need_another_point(tmp_path: Path) -> None:
    class PixelsOnly:
        path, points = "here", ("pixels",)

    with pytest.raises(ProbeError, match="here has no point besides pixels"):
        PixelPatches(PixelsOnly())  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["cpu", "cpu:0", "meta"])
def test_targets_move_with_the_batch(ragged: "scenes.Cache", device: str) -> None:
    """`cpu:0` is another name of where they are, so that they are moved and can still be compared."""
    numbers = {row: torch.tensor(float(row)) for row in (1, 3, 4)}
    maps = {row: torch.arange(row + 1) for row in (0, 1)}
    targets = {"speed": numbers, "maps": maps}
    whole = FeatureData(open_source(ragged, "vit.block_01"), SPLIT, targets, TrainingOptions())
    batch = whole.batch([3, 0, 1, 2]).to(device)
    for name, by_row in targets.items():
        for row, target in zip(batch.rows, batch.targets[name], strict=True):
            assert (target is None) == (row not in by_row)
            if target is not None:
                assert target.device.type == torch.device(device).type
                assert device == "meta" or torch.equal(target, by_row[row])
