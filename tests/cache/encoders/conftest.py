"""Every family in its `tiny:` form, and the reference that it may bring along."""

from types import ModuleType

import pytest
import torch

from foresight_cache import encoders
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.encoders.qwen2_5_vl import Family
from tests.support.references import reference_of


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny tensors gain nothing from threads, and test workers would fight over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", params=encoders.names())
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return encoders.load(f"tiny:{request.param}", LoadOptions(dtype="float32", device="cpu"))


@pytest.fixture(scope="session")
def qwen() -> Family:
    return Family.load("tiny:qwen2_5_vl", LoadOptions(dtype="float32", device="cpu"))


@pytest.fixture(scope="session")
def reference(encoder: Encoder) -> ModuleType:
    """The model run by hand. Without one, a family is held to the black-box tests only."""
    found = reference_of(type(encoder))
    if found is None:
        pytest.skip(f"{encoder.family} has no reference in tests/support/references")
    return found
