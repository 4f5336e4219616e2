"""Which frames and pixels a cell of a latent stands for, held to the VAE itself and to plain loops."""

import numpy as np
import pytest
import torch

from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.ltx_vae import LATENT, Family
from foresight_cache.errors import UsageError
from foresight_cache.samples import Grid
from foresight_probes.adapters.lattice import Lattice, overlaps
from foresight_probes.adapters.networks.layers.resampling import Resampling
from tests.support import planted_adapters as planted

LATTICE = Lattice.of_latent(planted.LATENT, planted.FRAMES)


def test_the_steps_are_those_of_the_vae() -> None:
    """Its encoder sees no later frames: the first step that a changed frame changes is the one that it belongs to."""
    vae = Family.load("tiny:ltx_vae", LoadOptions(dtype="float32", device="cpu"))
    clip = np.random.default_rng(0).integers(0, 256, (17, 32, 32, 3), dtype=np.uint8)
    lattice = Lattice.of_latent(vae.grid("patch", 17, 32, 32), 17)
    assert lattice.steps == ((0, 1), (1, 9), (9, 17))

    def latent(frames_THWC: np.ndarray) -> torch.Tensor:
        return vae.forward(vae.preprocess([frames_THWC], "clip"), [LATENT])[LATENT][0]

    before = latent(clip)
    for frame in (0, 1, 8, 9, 16):
        changed = clip.copy()
        changed[frame] = 255 - changed[frame]
        steps = (latent(changed) != before).any(1).nonzero().flatten().tolist()
        first, last = lattice.steps[steps[0]]
        assert first <= frame < last


def cells(tokens_SND: np.ndarray, grid: Grid) -> np.ndarray:
    """The mean over the slots of each cell."""
    resampling = Resampling(Lattice.of_tokens(grid, planted.FRAMES), LATTICE)
    found = resampling(torch.from_numpy(tokens_SND)).unflatten(2, (resampling.slots, -1))
    means_SQD: np.ndarray = found.mean(2).numpy()
    return means_SQD


def test_cells_are_means_over_the_tokens_that_they_cover() -> None:
    tokens = planted.tokens(2)
    fine, coarse = tokens["vit.pre_merge"], tokens["llm.layer_01"]
    np.testing.assert_allclose(cells(fine, planted.FINE), planted.cell_means(fine), atol=1e-6)
    np.testing.assert_allclose(cells(coarse, planted.COARSE), planted.coarse_means(coarse), atol=1e-6)


@pytest.mark.parametrize("wrong", ["shifted by one frame", "time and rows swapped", "backwards"])
def test_a_wrong_time_axis_is_seen(wrong: str) -> None:
    """That the check before can fail."""
    fine = planted.tokens(1)["vit.pre_merge"]
    grid_STYXD = fine.reshape(1, *planted.FINE, -1)
    changed = {
        "shifted by one frame": lambda: planted.cell_means(fine, frame_shift=1),
        "time and rows swapped": lambda: planted.cell_means(grid_STYXD.swapaxes(1, 2).reshape(fine.shape)),
        "backwards": lambda: planted.cell_means(grid_STYXD[:, ::-1].reshape(fine.shape)),
    }[wrong]()
    assert np.abs(cells(fine, planted.FINE) - changed).max() > 0.1


def test_what_happens_within_a_step_stays_apart() -> None:
    """Eight slots for tokens of each frame: the first cell of step 1 has frames 1 to 8 beside each other."""
    numbers = np.repeat(np.arange(9.0, dtype=np.float32), 16)[None, :, None]
    slots = Resampling(Lattice.of_tokens(planted.FINE, planted.FRAMES), LATTICE)(torch.from_numpy(numbers))
    assert slots.shape == (1, 8, 8)
    assert slots[0, 0].tolist() == [0] * 8
    torch.testing.assert_close(slots[0, 4], torch.arange(1.0, 9))


def test_areas_are_exact_where_grids_do_not_divide() -> None:
    """Seven cells of three tokens: the third is of the first token by two thirds... by hand, from the ends of both."""
    columns = overlaps(Lattice.of_tokens(Grid(1, 1, 7), 1).columns, Lattice.of_tokens(Grid(1, 1, 3), 1).columns)
    expected = np.zeros((7, 3))
    for fine in range(7 * 3 * 20):
        place = (fine + 0.5) / (7 * 3 * 20)
        expected[int(place * 7), int(place * 3)] += 1
    np.testing.assert_allclose(columns, expected / 60, atol=1e-9)


def test_one_frame_and_frames_one_by_one() -> None:
    assert Lattice.of_latent(Grid(1, 2, 2), 1).steps == ((0, 1),)
    assert Lattice.of_latent(Grid(3, 2, 2), 3).steps == ((0, 1), (1, 2), (2, 3))
    with pytest.raises(UsageError, match="a latent of 2 steps is not one of 1 frames"):
        Lattice.of_latent(Grid(2, 2, 2), 1)
    with pytest.raises(UsageError, match="a latent of 1 steps is not one of 8 frames"):
        Lattice.of_latent(Grid(1, 2, 2), 8)
    with pytest.raises(UsageError, match="a latent of 3 steps is not one of 10 frames"):
        Lattice.of_latent(Grid(3, 2, 2), 10)
