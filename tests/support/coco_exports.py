"""One small set of boxes as the exporters of several tools write it: their folders, names of files, ids and fields."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.three_images import HEIGHT, WIDTH, picture

BOXES: Mapping[str, tuple[tuple[str, tuple[float, float, float, float]], ...]] = {
    "one": (("cat", (1, 2, 9, 8)), ("dog", (20, 10.5, 12, 20))),
    "two": (),
    "three": (("dog", (0, 0, WIDTH, HEIGHT)),),
}
"""Category and box, corner and size, of the objects in each image."""


def expected(*names: str) -> dict[str, list[tuple[str, list[float]]]]:
    """Category and corners of the objects of each image, or of these."""
    return {
        name: [(category, [x, y, x + w, y + h]) for category, (x, y, w, h) in BOXES[name]] for name in names or BOXES
    }


def _save(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(list(BOXES).index(name)).save(path)


def _document(
    path: Path,
    file_names: Mapping[str, str],
    categories: Mapping[str, int],
    *,
    first: int,
    of_image: Mapping[str, Any],
    of_object: Mapping[str, Any],
    of_category: Mapping[str, Any],
    **rest: Any,
) -> None:
    """Writes a COCO file of images by their names in it, whose ids count from `first`."""
    images, annotations = [], []
    for image_id, (name, file_name) in enumerate(file_names.items(), start=first):
        images.append({"id": image_id, "width": WIDTH, "height": HEIGHT, "file_name": file_name, **of_image})
        for category, box in BOXES[name]:
            annotations.append(
                {
                    **{"id": len(annotations) + first, "image_id": image_id, "category_id": categories[category]},
                    **{"bbox": list(box), "area": box[2] * box[3], "iscrowd": 0, **of_object},
                }
            )
    listed = [{"id": number, "name": name, **of_category} for name, number in categories.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**rest, "images": images, "annotations": annotations, "categories": listed}))


def cvat(root: Path, *, images: str = "images/default", subset: str = "default", names: Sequence[str] = ()) -> Path:
    """CVAT's "COCO 1.0", which Datumaro writes: a subset `default`, and images where they were asked for."""
    chosen = names or tuple(BOXES)
    for name in chosen:
        _save(root / images / f"{name}.png", name)
    _document(
        root / "annotations" / f"instances_{subset}.json",
        {name: f"{name}.png" for name in chosen},
        {"cat": 1, "dog": 2},
        first=1,
        of_image={"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0},
        of_object={"segmentation": [], "attributes": {"occluded": False, "rotation": 0.0}},
        of_category={"supercategory": ""},
        licenses=[{"name": "", "id": 0, "url": ""}],
        info={"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
    )
    return root


def label_studio(root: Path, file_name: str = "images/{}", *, extra: str = "") -> Path:
    """Label Studio's COCO export: ids from 0, names with a hash before them, or where the server keeps them."""
    names = {name: f"{number}f3a2c1d-{name}.png" for number, name in enumerate(BOXES)}
    for name, own in names.items():
        _save(root / "images" / own, name)
    _document(
        root / "result.json",
        {name: file_name.format(extra + own) for name, own in names.items()},
        {"cat": 0, "dog": 1},
        first=0,
        of_image={},
        of_object={"segmentation": [], "ignore": 0},
        of_category={},
        info={
            **{"year": 2024, "version": "1.0", "description": "", "contributor": "Label Studio", "url": ""},
            "date_created": "2024-05-07 17:43:40.748757",
        },
    )
    return root


def fiftyone(root: Path, *names: str, first: int = 1) -> Path:
    """FiftyOne's `COCODetectionDataset`: `data` and `labels.json`; older versions number categories from 0."""
    chosen = names or tuple(BOXES)
    for name in chosen:
        _save(root / "data" / f"{name}.png", name)
    _document(
        root / "labels.json",
        {name: f"{name}.png" for name in chosen},
        {"cat": first, "dog": first + 1},
        first=1,
        of_image={"license": None, "coco_url": None},
        of_object={"supercategory": None},
        of_category={"supercategory": None},
        info={"description": "Exported from FiftyOne", "contributor": "", "url": "https://voxel51.com/fiftyone"},
        licenses=[],
    )
    return root


def roboflow(root: Path, **splits: Sequence[str]) -> Path:
    """Roboflow's COCO export: a file beside the images of each split, whose category 0 is no object's."""
    for split, names in splits.items():
        for name in names:
            _save(root / split / f"{name}_png.rf.0a1b2c3d.png", name)
        path = root / split / "_annotations.coco.json"
        _document(
            path,
            {name: f"{name}_png.rf.0a1b2c3d.png" for name in names},
            {"pets": 0, "cat": 1, "dog": 2},
            first=0,
            of_image={"license": 1, "date_captured": "2024-05-07T19:39:26+00:00"},
            of_object={"segmentation": []},
            of_category={"supercategory": "none"},
            info={"year": "2024", "version": "1", "description": "Exported from roboflow.com", "contributor": ""},
            licenses=[{"id": 1, "url": "https://creativecommons.org/licenses/by/4.0/", "name": "CC BY 4.0"}],
        )
    (root / "README.roboflow.txt").write_text("pets - v1")
    return root


def labelme(root: Path) -> Path:
    """The output of labelme's `labelme2coco.py`: names with their folder, drawings beside, outlines as polygons."""
    for name in BOXES:
        _save(root / "JPEGImages" / f"{name}.png", name)
        _save(root / "Visualization" / f"{name}.png", name)
    _document(
        root / "annotations.json",
        {name: f"JPEGImages/{name}.png" for name in BOXES},
        {"_background_": 0, "cat": 1, "dog": 2},
        first=0,
        of_image={"license": 0, "url": None, "date_captured": None},
        of_object={},
        of_category={"supercategory": None},
        info={"description": None, "url": None, "version": None, "year": 2024, "contributor": None},
        licenses=[{"url": None, "id": 0, "name": None}],
        type="instances",
    )
    return root
