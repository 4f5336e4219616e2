"""A small model in a directory, and copies of it to be damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from foresight_cache.encoders.qwen2_5_vl import Family


@pytest.fixture(scope="session")
def saved(qwen: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2.5-VL as transformers saves it; not to be changed."""
    path = tmp_path_factory.mktemp("models") / "whole"
    qwen.model.save_pretrained(path)
    qwen.processor.save_pretrained(path)
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


Change = Callable[[Path], None]
