"""Writes the files of this folder with the tools themselves: `python make_exports.py FOLDER`.

Needs datumaro, label-studio-sdk and fiftyone; FiftyOne's database is not needed.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 24, 18
NAMES = ("three cats", "empty", "café")
BOX, WHOLE = (1.5, 2, 9, 8), (0, 0, WIDTH, HEIGHT)
"""Corner and size of a cat's and a dog's box."""
OUTLINE = (12.0, 3.0, 22.0, 3.5, 17.0, 15.0)
"""A dog's outline: x and y of its points."""


def draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    return path


def datumaro(out: Path, form: str, **options: Any) -> None:
    """Objects as CVAT's server hands them over: groups, attributes, and a mask that is a crowd."""
    from datumaro.components.annotation import Bbox, Mask, Polygon
    from datumaro.components.dataset import Dataset
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image as Media

    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[4:9, 5:8] = True
    attributes = {"occluded": False, "rotation": 0.0, "colour": "grey"}
    objects = {
        "three cats": [Bbox(*BOX, label=0, group=0, attributes=attributes), Polygon(OUTLINE, label=1, group=0)],
        "empty": [],
        "café": [
            Bbox(*WHOLE, label=1, group=1, attributes=attributes),
            Mask(mask, label=0, attributes={"is_crowd": True}),
        ],
    }
    items = [
        DatasetItem(
            id=f"pets/{name}",
            subset="Validation" if name == "café" and options.get("merge_images") else "Train",
            media=Media.from_file(path=str(draw(out.parent / "pictures" / f"{name}.png"))),
            annotations=objects[name],
            attributes={"frame": frame},
        )
        for frame, name in enumerate(NAMES)
    ]
    Dataset.from_iterable(items, categories=["cat", "dog"]).export(str(out), form, save_media=True, **options)


def label_studio(out: Path, *, url: str, download: bool, annotators: int = 1) -> None:
    """Tasks with a rectangle, a turned one and a polygon, and one task that nobody annotated."""
    from label_studio_sdk.converter import Converter

    def tool(kind: str, label: str, **value: Any) -> dict[str, Any]:
        return {
            **{"from_name": kind[:-6], "to_name": "image", "type": kind, "original_width": WIDTH},
            **{"original_height": HEIGHT, "value": {kind: [label], **value}},
        }

    x, y, width, height = (100 * side / whole for side, whole in zip(BOX, WHOLE[2:] * 2, strict=True))
    box = {"x": x, "y": y, "width": width, "height": height}
    points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in zip(OUTLINE[::2], OUTLINE[1::2], strict=True)]
    results = {
        "three cats": [
            tool("rectanglelabels", "cat", rotation=0, **box),
            tool("polygonlabels", "dog", points=points, closed=True),
        ],
        "empty": [],
        "café": [tool("rectanglelabels", "dog", rotation=90, **{**box, "x": 90.0, "y": 10.0})],
    }
    files = out.parent / "server"
    tasks = []
    for number, name in enumerate(NAMES, start=1):
        own = f"{number}f3a2c1d-{name}.png"
        draw(files / "media" / "upload" / "1" / own)
        annotations = [{"id": number, "result": results[name]}] * annotators if results[name] else []
        tasks.append({"id": number, "data": {"image": url.format(own)}, "annotations": annotations})
    (out.parent / "tasks.json").write_text(json.dumps(tasks))
    choices = '<Label value="cat"/><Label value="dog"/>'
    config = (
        '<View><Image name="image" value="$image"/>'
        f'<RectangleLabels name="rectangle" toName="image">{choices}</RectangleLabels>'
        f'<PolygonLabels name="polygon" toName="image">{choices}</PolygonLabels></View>'
    )
    upload = str(files / "media" / "upload") if download else "elsewhere"
    Converter(config, str(out), upload_dir=upload, download_resources=download).convert_to_coco(
        str(out.parent / "tasks.json"), str(out), is_dir=False
    )
    if not download:  # the images are brought by hand, as for an export without them
        shutil.copytree(files / "media" / "upload" / "1", out / "images", dirs_exist_ok=True)


def fiftyone(out: Path, *, classes: list[str] | None = None, labelled: bool = True) -> None:
    """Detections, one with a mask, one that is a crowd, and polylines, in a folder below."""
    from fiftyone import Detection, Detections, Polyline, Polylines
    from fiftyone.utils.coco import COCODetectionDatasetExporter

    def detection(label: str, box: tuple[float, ...], **fields: Any) -> Any:
        shares = [side / whole for side, whole in zip(box, WHOLE[2:] * 2, strict=True)]
        return Detection(label=label, bounding_box=shares, **fields)

    mask = np.zeros((8, 9), dtype=bool)
    mask[1:7, 2:8] = True
    points = [(x / WIDTH, y / HEIGHT) for x, y in zip(OUTLINE[::2], OUTLINE[1::2], strict=True)]
    labels = {
        "three cats": Detections(
            detections=[detection("cat", BOX, mask=mask, confidence=0.75), detection("dog", WHOLE, colour="grey")]
        ),
        "empty": None,
        "café": Polylines(polylines=[Polyline(label="dog", points=[points], closed=True, filled=True)]),
        "herd": Detections(detections=[detection("cat", BOX, mask=mask, iscrowd=1)]),
    }
    pictures = out.parent / "pictures"
    with COCODetectionDatasetExporter(export_dir=str(out), classes=classes, rel_dir=str(pictures)) as exporter:
        for name in labels:
            exporter.export_sample(str(draw(pictures / "pets" / f"{name}.png")), labels[name] if labelled else None)


FORMS: dict[str, Any] = {
    "cvat": lambda out: datumaro(out, "coco_instances", merge_images=False, reindex=True),
    "datumaro": lambda out: datumaro(out, "coco", merge_images=True),
    "fiftyone": fiftyone,
    "fiftyone_classes": lambda out: fiftyone(out, classes=["bird", "cat", "dog"]),
    "fiftyone_unlabelled": lambda out: fiftyone(out, classes=["cat"], labelled=False),
    "label_studio_local_files": lambda out: label_studio(out, url="/data/local-files/?d=1/{}", download=True),
    "label_studio_two_annotators": lambda out: label_studio(out, url="/data/upload/1/{}", download=True, annotators=2),
    "label_studio_uploads": lambda out: label_studio(out, url="/data/upload/1/{}", download=True),
    "label_studio_without_images": lambda out: label_studio(out, url="/data/upload/1/{}", download=False),
}


def main(folder: Path) -> None:
    os.environ["LOCAL_FILES_DOCUMENT_ROOT"] = str(folder / "work" / "server" / "media" / "upload")
    for name, make in FORMS.items():
        out, kept = folder / "work" / name, folder / name
        make(out)
        for path in sorted(out.rglob("*.json")):
            (kept / path.relative_to(out)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, kept / path.relative_to(out))
        images = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
        (kept / "images.txt").write_text("".join(f"{image}\n" for image in images))
    shutil.rmtree(folder / "work")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
