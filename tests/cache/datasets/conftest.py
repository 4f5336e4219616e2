"""Folders of small sets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a document as a folder in COCO format."""

    def write(document: Any, split: str = "val2014", images: str = "val2014") -> Path:
        (tmp_path / images).mkdir(parents=True, exist_ok=True)
        (tmp_path / "annotations").mkdir(exist_ok=True)
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(text)
        return tmp_path

    return write
