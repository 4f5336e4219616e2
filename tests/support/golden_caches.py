"""The golden caches, and what a reader must find in them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FORMATS = sorted(GOLDEN.glob("format-*"))
CACHES = sorted(path.parent for path in GOLDEN.glob("format-*/*/zarr.json"))

Expected = tuple[list[dict[str, Any]], dict[str, dict[int, np.ndarray]]]
each_cache = pytest.mark.parametrize("root", CACHES, ids=lambda root: f"{root.parent.name}-{root.name}")


def expected(root: Path) -> Expected:
    """What is said of each sample, and by point and slot what it holds."""
    samples = json.loads((root.parent / "expected.json").read_text())[root.name]
    arrays: dict[str, dict[int, np.ndarray]] = {}
    with np.load(root.parent / "expected.npz", allow_pickle=False) as stored:
        for key in stored.files:
            name, point, slot = key.split("/")
            if name == root.name:
                arrays.setdefault(point, {})[int(slot)] = stored[key]
    return samples, arrays
