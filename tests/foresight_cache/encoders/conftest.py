"""Every family in its `tiny:` form, and the reference that it may bring along."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from foresight_cache import encoders
from foresight_cache.encoders import Encoder, LoadOptions


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny tensors gain nothing from threads, and test workers would fight over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", params=encoders.names())
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return encoders.load(f"tiny:{request.param}", LoadOptions(dtype="float32", device="cpu"))


@pytest.fixture(scope="session")
def reference(encoder: Encoder) -> ModuleType:
    """The model run by hand: `reference_<name>.py`, by the family or else by the shape that it shares with others.

    Without one, a family is held to the black-box tests only.
    """
    shapes = [kind.__module__.rpartition(".")[2] for kind in type(encoder).__mro__]
    paths = [Path(__file__).with_name(f"reference_{name}.py") for name in (encoder.family, *shapes)]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        pytest.skip(f"{encoder.family} has none of {', '.join(path.name for path in paths)} beside this suite")
    return importlib.import_module(path.stem)
