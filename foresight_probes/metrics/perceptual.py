"""LPIPS, the distance of two pictures in the features of a pretrained classifier.

Equation 1 of Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018). The
package `lpips` brings the learned weights of the layers but not the classifier below them, whose weights come from a
folder or from torch's cache of downloads. Without them the distance is not measured; nothing takes its place.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import lpips
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from foresight_cache.errors import ProbeError, UnknownName

TRUNKS = {
    "alex": ("alexnet", "alexnet-owt-7be5be79.pth"),
    "vgg": ("vgg16", "vgg16-397923af.pth"),
    "squeeze": ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
}
"""Classifier of each net: torchvision's name, and the name of its file in torch's cache of downloads."""

LEAST_SIDE = 32
"""Pixels along the shorter side of a picture below which the deepest layer has nothing left to see."""


class PerceptualDistance(nn.Module):
    """LPIPS 0.1 with the trunk `alex`, `vgg` or `squeeze`, frozen.

    Raises `UnknownName` for another net, and `ProbeError` where its weights are missing or are not those of the net.
    """

    def __init__(self, net: str, weights: Path | None = None) -> None:
        super().__init__()
        self.net = net
        self.path = find_weights(net, weights)
        """The file that the trunk was read from."""
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):  # it makes random weights first
            warnings.filterwarnings("ignore", module="torchvision")  # lpips asks for them in the old way
            self.distance = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        _fill(self.distance.net, _read(self.path), self.path)
        self.requires_grad_(False)
        self.eval()

    def forward(self, pictures_BCHW: Tensor, truth_BCHW: Tensor) -> Tensor:
        """Returns the distance of each picture, [B]; pictures have 3 channels from 0 to 1 and sides of at least 32."""
        distance: Tensor = self.distance(pictures_BCHW, truth_BCHW, normalize=True)
        return distance.reshape(len(truth_BCHW))

    def maps(self, pictures_BCHW: Tensor) -> list[Tensor]:
        """Returns the trunk's feature maps [B, D, H, W] of pictures from 0 to 1, one for each layer of LPIPS."""
        return list(self.distance.net(self.distance.scaling_layer(2 * pictures_BCHW - 1)))


def find_weights(net: str, folder: Path | None) -> Path:
    """Finds a trunk's weights: `<name>*.safetensors` or `<name>*.pth` of a folder, or of torch's cache.

    Raises `UnknownName` and `ProbeError`.
    """
    if net not in TRUNKS:
        raise UnknownName("LPIPS net", net, TRUNKS)
    name, download = TRUNKS[net]
    if folder is None:
        cached = Path(torch.hub.get_dir()) / "checkpoints" / download
        if cached.is_file():
            return cached
        raise ProbeError(
            f"LPIPS needs the weights of torchvision's {name}, and {cached} is not there; bring that file from a "
            "machine with a network, or name a folder with it by --lpips-weights"
        )
    files = [path for suffix in ("safetensors", "pth") for path in sorted(folder.glob(f"{name}*.{suffix}"))]
    if files:
        return files[0]
    raise ProbeError(
        f"LPIPS needs the weights of torchvision's {name}, and {folder} has no {name}*.safetensors and no {name}*.pth; "
        "put one there, or choose another net"
    )


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise ProbeError(f"cannot read the LPIPS weights {path} ({error}); fetch the file again") from error
    except Exception as error:  # weights_only raises an error of pickle's, whose module this project does not import
        if type(error).__name__ != "UnpicklingError":
            raise
        raise ProbeError(f"the LPIPS weights {path} hold more than tensors; use torchvision's own file") from error
    if not isinstance(content, Mapping):
        raise ProbeError(f"the LPIPS weights {path} are a {type(content).__name__}, expected tensors by name")
    return content


def _fill(trunk: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Copies `features.<layer>.…` of a torchvision classifier into the slices that lpips cuts it into."""
    for parameter_name, parameter in trunk.named_parameters():
        name = "features." + parameter_name.split(".", 1)[1]  # slice2.3.weight is features.3.weight
        if name not in weights or weights[name].shape != parameter.shape:
            raise ProbeError(
                f"the LPIPS weights {path} have no {name} of the shape {tuple(parameter.shape)}; "
                "they belong to another network"
            )
        with torch.no_grad():
            parameter.copy_(weights[name])
