"""LPIPS with real trunks against known values of its authors' pictures; trunks that are missing or wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from foresight_cache.errors import ProbeError, UnknownName
from foresight_probes.metrics.gram import gram_distance
from foresight_probes.metrics.perceptual import PerceptualDistance, find_weights

REFERENCE = {"alex": (0.7219, 0.1376), "squeeze": (0.7110, 0.1479)}
"""Of `ex_ref` against `ex_p0` and `ex_p1`, by the package `lpips` with these trunks."""


@pytest.fixture(scope="module")
def trunks(assets: Path) -> Path:
    return assets / "models" / "lpips"


@pytest.fixture(scope="module")
def pictures(trunks: Path) -> torch.Tensor:
    """[3, 3, 64, 64] from 0 to 1: the reference and two distortions."""
    folder = trunks / "reference_images"
    images = [np.asarray(Image.open(folder / f"ex_{name}.png").convert("RGB")) for name in ("ref", "p0", "p1")]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("net", REFERENCE)
def test_reference_values(net: str, trunks: Path, pictures: torch.Tensor) -> None:
    before = torch.random.get_rng_state()
    distance = PerceptualDistance(net, trunks)
    assert torch.equal(before, torch.random.get_rng_state())
    found = distance(pictures[[1, 2]], pictures[[0, 0]])
    assert found.tolist() == pytest.approx(REFERENCE[net], abs=5e-5)
    assert distance(pictures, pictures).tolist() == [0, 0, 0]
    assert not any(parameter.requires_grad for parameter in distance.parameters())


def test_a_gradient_reaches_the_picture(trunks: Path, pictures: torch.Tensor) -> None:
    """So that it can be a loss, although its own weights are frozen."""
    picture = pictures[1:2].clone().requires_grad_(True)
    PerceptualDistance("alex", trunks)(picture, pictures[:1]).sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().max() > 0


def test_texture_distance_of_real_pictures(trunks: Path, pictures: torch.Tensor) -> None:
    """Turning a picture upside down moves everything and leaves most of its texture; another texture is farther."""
    distance = PerceptualDistance("squeeze", trunks)
    turned, noise = pictures[:1].flip(2), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    true = distance.maps(pictures[:1])
    near, far = (gram_distance(distance.maps(picture), true).item() for picture in (turned, noise))
    assert near < 0.3
    assert far > 2 * near


def test_pth_files_are_read_too(trunks: Path, pictures: torch.Tensor, tmp_path: Path) -> None:
    torch.save(load_file(trunks / "alexnet_features.safetensors"), tmp_path / "alexnet-owt-7be5be79.pth")
    found = PerceptualDistance("alex", tmp_path)(pictures[[1]], pictures[[0]])
    assert found.item() == pytest.approx(REFERENCE["alex"][0], abs=5e-5)


def test_the_cache_of_downloads_is_looked_at(trunks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ProbeError, match=r"hub/checkpoints/alexnet-owt-7be5be79.pth is not there; .* --lpips-weights"):
        PerceptualDistance("alex")
    cached = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    cached.parent.mkdir(parents=True)
    torch.save(load_file(trunks / "alexnet_features.safetensors"), cached)
    assert PerceptualDistance("alex").path == cached


def test_weights_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(
        ProbeError, match=r"needs the weights of torchvision's vgg16, and .* has no vgg16\*.safetensors"
    ):
        PerceptualDistance("vgg", tmp_path)
    with pytest.raises(UnknownName, match="unknown LPIPS net 'alexnet'; did you mean 'alex'"):
        find_weights("alexnet", tmp_path)


def test_weights_of_another_network(trunks: Path, tmp_path: Path) -> None:
    (tmp_path / "alexnet.safetensors").write_bytes((trunks / "squeezenet1_1_features.safetensors").read_bytes())
    with pytest.raises(
        ProbeError, match=r"have no features.0.weight of the shape \(64, 3, 11, 11\); they belong to ano"
    ):
        PerceptualDistance("alex", tmp_path)
    (tmp_path / "alexnet.safetensors").unlink()
    save_file({"features.0.weight": torch.zeros(64, 3, 11, 11)}, tmp_path / "alexnet.safetensors")
    with pytest.raises(ProbeError, match="have no features.0.bias"):
        PerceptualDistance("alex", tmp_path)


class Anything:
    """What no file of weights holds."""


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("alexnet.pth", Anything(), "hold more than tensors; use torchvision's own file"),
        ("alexnet.pth", [1, 2], "are a list, expected tensors by name"),
        ("alexnet.pth", None, "cannot read the LPIPS weights .*; fetch the file again"),
        ("alexnet.safetensors", None, "cannot read the LPIPS weights .*; fetch the file again"),
    ],
)
def test_files_that_hold_something_else(name: str, content: object, reason: str, tmp_path: Path) -> None:
    if content is None:
        (tmp_path / name).write_bytes(b"PK\x03\x04 cut off")
    else:
        torch.save(content, tmp_path / name)
    with pytest.raises(ProbeError, match=reason):
        PerceptualDistance("alex", tmp_path)
