"""A page for each sample: its picture under the grid of tokens, with the words that each token is close to."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from foresight_cache.points import Point
from foresight_cache.samples import Grid
from foresight_probes.lens.lens_run import SampleWords
from foresight_probes.lens.nearest import Nearest
from foresight_probes.report.rendering import templates

_NAMES = {
    "contextual": "words in contexts (LatentLens)",
    "embedding": "input embeddings (EmbeddingLens)",
    "logit": "logits (LogitLens)",
}
_DIGITS = 4
_SMALLEST = 640
"""Least pixels along the longer side of a picture on the page."""


def lens_page(sample: SampleWords, pixels_THWC: np.ndarray, under: str) -> str:
    """Returns a page of HTML that needs no other file; `pixels_THWC` are uint8, `under` is the line below its head."""
    steps = max((grid.t for point, grid in sample.grids.items() if _on_picture(point)), default=1)
    frames = [min(len(pixels_THWC) - 1, int((step + 0.5) * len(pixels_THWC) / steps)) for step in range(steps)]
    phrases: dict[str, int] = {}
    views = {
        f"{point} {lens}": _view(point, sample.grids[point], found, phrases)
        for (point, lens), found in sample.words.items()
    }
    lenses = list(dict.fromkeys(lens for _, lens in sample.words))
    data = {"views": views, "phrases": list(phrases)}
    return (
        templates()
        .get_template("lens.html.jinja")
        .render(
            heading=f"Words of {sample.id}",
            under=under,
            points=list(sample.grids),
            lenses=[(lens, _NAMES[lens]) for lens in lenses],
            pictures=[_picture(pixels_THWC[frame]) for frame in frames],
            size=_shown_size(pixels_THWC),
            data=json.dumps(data, sort_keys=True).replace("<", "\\u003c"),
        )
    )


def lens_list(pages: Sequence[tuple[str, str]], under: str, summary: Sequence[Mapping[str, Any]]) -> str:
    """Returns the page that lists pages (address and name), with a table of what was found by point and lens."""
    return (
        templates()
        .get_template("lens_list.html.jinja")
        .render(heading="Words of visual tokens", under=under, pages=pages, summary=summary)
    )


def _view(point: str, grid: Grid, found: Nearest, phrases: dict[str, int]) -> dict[str, Any]:
    columns = found.columns
    view: dict[str, Any] = {
        "grid": list(grid),
        "pictured": _on_picture(point),
        "tokens": columns["token"].tolist(),
        "values": np.round(found.values_QK.astype(float), _DIGITS).tolist(),
    }
    if "phrase" in columns:
        view["phrases"] = [[phrases.setdefault(each, len(phrases)) for each in row] for row in columns["phrase"]]
        view["layers"] = columns["contextual_layer"].tolist()
    return view


def _on_picture(point: str) -> bool:
    return Point.parse(point).readout == "tokens"


def _shown_size(pixels_THWC: np.ndarray) -> tuple[int, int]:
    height, width = pixels_THWC.shape[1:3]
    factor = max(1, _SMALLEST / max(height, width))
    return round(height * factor), round(width * factor)


def _picture(pixels_HWC: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
