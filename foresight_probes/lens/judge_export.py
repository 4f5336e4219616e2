"""Items for an outside judge, as files: pictures with a marked part, words, and a key apart."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.lens.judge_items import JudgeItem

ITEMS, PICTURES, KEY = "items.jsonl", "pictures", "key.csv"
"""Names of the list that a judge gets, of the folder of pictures, and of what tells whose words they are."""
QUESTION = (
    "Does at least one of these words name something that is visible inside the red box, or say something true of what "
    "is inside it (a colour, a material, an action, a part)? A word that fits the rest of the image alone, or nearly "
    "any image, does not count."
)
"""What is asked, stricter than the original, whose judge may call anything related to the whole image."""


def export_items(items: Sequence[JudgeItem], cache: Cache, out: Path) -> None:
    """Writes `items.jsonl`, a picture for each marked part, and `key.csv`, which a judge must not see.

    A line has `id`, `picture`, `box` (pixels: left, upper, right, lower), `words` and `question`. A line of verdicts
    has `id` and `interpretable`. Raises `ProbeError` where the folder cannot be written.
    """
    try:
        (out / PICTURES).mkdir(parents=True, exist_ok=True)
        lines, written = [], set[str]()
        for item in items:
            name = f"{PICTURES}/{item.number:06d}-{item.frame}-{'-'.join(map(str, item.box))}.png"
            if name not in written:
                written.add(name)
                write_file(out / name, _marked(cache[PIXELS].grid(item.number)[item.frame], item), durable=False)
            line = {"id": item.id, "picture": name, "box": list(item.box), "words": list(item.words)}
            lines.append(json.dumps({**line, "question": QUESTION}, ensure_ascii=False) + "\n")
        write_file(out / ITEMS, "".join(lines).encode())
        text = io.StringIO()
        key = csv.writer(text, lineterminator="\n")
        key.writerow(["id", "sample", "point", "lens", "step", "row", "column", "words of"])
        key.writerows([item.id, item.sample, item.point, item.lens, *item.cell, item.words_of] for item in items)
        write_file(out / KEY, text.getvalue().encode())
    except OSError as error:
        raise ProbeError(f"cannot write items for a judge to {out}: {error.strerror or error}") from error


def _marked(pixels_HWC: np.ndarray, item: JudgeItem) -> bytes:
    picture = Image.fromarray(np.ascontiguousarray(pixels_HWC, np.uint8))
    left, upper, right, lower = item.box
    ImageDraw.Draw(picture).rectangle((left, upper, right - 1, lower - 1), outline=(255, 0, 0), width=2)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
