"""Pictures that are wrong in one way, and least squares that draws."""

from pathlib import Path

import numpy as np
import torch

from foresight_cache.samples import Grid
from foresight_probes.calibration.planted import PlantedCache
from pipelines.discrepancy.parts import distance_of
from pipelines.discrepancy.picture_readings import Pictures, _pictures, draw_by_least_squares
from pipelines.discrepancy.planted_readings import sides_of

GRID = Grid(1, 2, 2)


def pictures(order: list[int]) -> Pictures:
    truth = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return Pictures(truth_BCHW=truth, mean_CHW=truth.mean(0), order_N=np.array(order), grid=GRID)


def test_cells_move_as_a_whole() -> None:
    own = pictures([1, 0, 2, 3])
    moved, truth = own.in_hook_order(), own.truth_BCHW
    assert torch.equal(moved[:, :, :2, :2], truth[:, :, :2, 2:])
    assert torch.equal(moved[:, :, :2, 2:], truth[:, :, :2, :2])
    assert torch.equal(moved[:, :, 2:], truth[:, :, 2:])
    assert torch.equal(pictures([0, 1, 2, 3]).in_hook_order(), truth)
    assert torch.equal(own.in_random_order().flatten(1).sort().values, truth.flatten(1).sort().values)


def test_each_cell_has_its_mean_colour() -> None:
    own = pictures([0, 1, 2, 3])
    blurred = own.blurred()
    assert torch.allclose(blurred[1, 2, :2, 2:], own.truth_BCHW[1, 2, :2, 2:].mean())
    assert torch.allclose(blurred.mean((2, 3)), own.truth_BCHW.mean((2, 3)))


def test_noise_is_the_same_each_time() -> None:
    own = pictures([0, 1, 2, 3])
    assert torch.equal(own.white_noise(5.0), 5 * own.white_noise(1.0))
    assert own.white_noise(1.0).min() < 0
    assert torch.equal(own.uniform_noise(), own.uniform_noise())
    assert own.uniform_noise().min() >= 0


def test_least_squares_draws_what_tokens_hold(tmp_path: Path) -> None:
    planted = PlantedCache(world="several", train=60, validation=10, test=10, rows=8)
    cache = planted.write(tmp_path, ["picture.linear", "nothing.linear"])
    rows = sides_of(cache)
    train = _pictures(cache, rows["train"])
    truth = _pictures(cache, rows["test"])
    errors = {
        point: float((draw_by_least_squares(cache, point, rows["train"], rows["test"], train) - truth).square().mean())
        for point in ("picture.linear", "nothing.linear")
    }
    assert errors["picture.linear"] < 0.002 < 0.02 < errors["nothing.linear"]


def test_without_weights_it_is_said_in_one_sentence(tmp_path: Path) -> None:
    said = distance_of(tmp_path)
    assert isinstance(said, str)
    assert said.startswith("the rows of LPIPS are left out: LPIPS needs the weights of torchvision's alexnet")
    assert not said.endswith(".")
