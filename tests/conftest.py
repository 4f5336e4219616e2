"""What all tests share."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers of pytest-xdist share the cores already


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real weights and data; tests that need it are skipped by name without it."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FORESIGHT_TEST_ASSETS", beside))
    if not (folder / "data").is_dir():
        pytest.skip(f"no test assets at {folder}; set FORESIGHT_TEST_ASSETS")
    return folder
