"""Every family in its `tiny:` form, and the reference that it may bring along."""

import importlib.util
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
    """`reference_<family>.py`: the model run by hand. Without one, a family is held to the black-box tests only."""
    path = Path(__file__).with_name(f"reference_{encoder.family}.py")
    if not path.exists():
        pytest.skip(f"{encoder.family} has no {path.name} beside this suite")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
