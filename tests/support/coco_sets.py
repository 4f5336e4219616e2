"""Small documents in COCO format, and what the reader makes of them."""

from pathlib import Path
from typing import Any

from foresight_cache.datasets import BrokenSample, ListedSample
from foresight_cache.datasets.layouts.coco import Reader

Document = dict[str, Any]


def small() -> Document:
    """Two images, one of them with a plain and a crowd object; category ids are sparse."""
    return {
        "images": [
            {"id": 42, "file_name": "COCO_val2014_000000000042.jpg", "width": 640, "height": 480},
            {"id": 7, "file_name": "plain.png", "width": 100, "height": 50},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 5, "image_id": 42, "category_id": 90, "bbox": [1.5, 2, 10, 20.25], "area": 99.5, "iscrowd": 0},
            {"id": 6, "image_id": 42, "category_id": 3, "bbox": [0, 0, 640, 480], "area": 7, "iscrowd": 1},
        ],
    }


def read(root: Path, split: str = "val2014") -> list[ListedSample]:
    """Returns everything that a split lists."""
    return list(Reader("coco", root).samples(split))


def reasons(root: Path) -> dict[str, str]:
    """Returns the reasons of broken samples, by id."""
    return {listed.id: listed.reason for listed in read(root) if isinstance(listed, BrokenSample)}
