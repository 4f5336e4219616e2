"""Small datasets in the published layouts, with really encoded clips and made-up annotations."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.made_clips import counting, image_bytes, numbered

LABELS = (
    "Holding something next to something",
    "Pushing something from left to right",
    "Turning the camera left while filming something",
    "Moving something up",
    "Putting something, something and something on the table",
)
TEMPLATES = (
    "Holding [something] next to [something]",
    "Pushing [something] from left to right",
    "Turning the camera left while filming [something]",
    "Moving [something] up",
    "Putting [something], [something] and [something] on the table",
)
SPLITS = {"train": (101, 102, 103), "validation": (201, 202), "test": (301, 302)}


def clip(path: Path, frames: int = 6) -> Path:
    """A numbered clip of the kind that its suffix says, or a folder of frames `img_00001.jpg` and so on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        path.write_bytes(counting(frames, path.suffix[1:], rate=12))
    else:
        frame_folder(path, frames)
    return path


def frame_folder(folder: Path, frames: int, pattern: str = "img_{:05d}.jpg", first: int = 1) -> Path:
    folder.mkdir(parents=True)
    for number in range(frames):
        kind = {"jpg": "JPEG", "png": "PNG"}[pattern.rsplit(".")[-1]]
        (folder / pattern.format(first + number)).write_bytes(image_bytes(numbered(number), kind))
    return folder


def ssv2_record(clip_id: int, kind: int) -> dict[str, Any]:
    names = ["a mug", "a red book", "a pen"][: TEMPLATES[kind].count("[")]
    label = LABELS[kind].lower()
    for name in names:
        label = label.replace("something", name, 1)
    return {"id": str(clip_id), "label": label, "template": TEMPLATES[kind], "placeholders": names}


def ssv2(
    root: Path, *, older: bool = False, labels: str = "labels", clips: str = "20bn-something-something-v2/{}.webm"
) -> Path:
    """Something-Something v2 in either generation of annotations, clips by the pattern of their path."""
    folder = root / labels
    folder.mkdir(parents=True, exist_ok=True)
    prefix = "something-something-v2-" if older else ""
    (folder / f"{prefix}labels.json").write_text(json.dumps({name: str(n) for n, name in enumerate(LABELS)}))
    for split, numbers in SPLITS.items():
        records = [ssv2_record(number, place + (split == "validation") * 3) for place, number in enumerate(numbers)]
        if split == "test":
            (folder / "test-answers.csv").write_text("".join(f"{r['id']};{r['template']}\n" for r in records))
            records = [{"id": record["id"]} for record in records]
        (folder / f"{prefix}{split}.json").write_text(json.dumps(records))
        for number in numbers:
            clip(root / clips.format(number))
    return root


def davis(root: Path) -> Path:
    """Two clips of DAVIS 2017, the masks as palette images, as they are published."""
    for split, name in (("train", "bear"), ("val", "blackswan")):
        lists = root / "DAVIS/ImageSets/2017"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text(f"{name}\n")
        frame_folder(root / "DAVIS/JPEGImages/480p" / name, 5, "{:05d}.jpg", first=0)
        masks = root / "DAVIS/Annotations/480p" / name
        masks.mkdir(parents=True)
        for number in range(5):
            davis_mask(number).save(masks / f"{number:05d}.png")
    return root


def davis_mask(number: int) -> Image.Image:
    """Objects 1 and 2 as upright bars, object 1 moving to the right."""
    labels = np.zeros((48, 64), np.uint8)
    labels[10:20, 8 * number : 8 * number + 8] = 1
    labels[30:40, 40:60] = 2
    image = Image.fromarray(labels)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    return image


def ucf101(root: Path, suffix: str = ".avi") -> Path:
    """Two classes of two recordings of two clips; the first recordings are the test of the first division."""
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    kinds = ("ApplyEyeMakeup", "YoYo")
    (lists / "classInd.txt").write_text("".join(f"{n} {kind}\n" for n, kind in enumerate(kinds, start=1)))
    for division in (1, 2, 3):
        test = 1 if division == 1 else 2
        (lists / f"trainlist0{division}.txt").write_text(_ucf101_list(kinds, 3 - test, numbered=True))
        (lists / f"testlist0{division}.txt").write_text(_ucf101_list(kinds, test, numbered=False))
    for kind in kinds:
        for group in (1, 2):
            for number in (1, 2):
                clip(root / f"UCF-101/{kind}/v_{kind}_g{group:02d}_c{number:02d}{suffix}", frames=2 + group + number)
    return root


def _ucf101_list(kinds: Sequence[str], group: int, *, numbered: bool) -> str:
    return "".join(
        f"{kind}/v_{kind}_g{group:02d}_c{number:02d}.avi{f' {index}' if numbered else ''}\r\n"
        for index, kind in enumerate(kinds, start=1)
        for number in (1, 2)
    )
