"""What an outside judge is asked about words: tokens with their own words, and with those of other images."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foresight_cache.errors import AnswersError, ProbeError
from foresight_cache.json_lines import read_json_lines
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.sample_table import SampleTableRow
from foresight_cache.samples import Grid
from foresight_probes.lens.match_rates import neighbours
from foresight_probes.lens.picture_mask import shows_picture
from foresight_probes.metrics import Scores
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.statistics.interval import Interval

EACH = 100
"""Tokens of each point and lens that are judged, as in the original."""
BOX = 3
"""Side in tokens of the part of the image that is marked, as in the original."""
KINDS = ("concrete", "abstract", "global")
"""Lists of words that the original's judge answers with; a token is interpretable where one of them has a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeItem:
    """A part of an image and words, of which a judge says whether one of them tells something of it."""

    id: str
    """Tells a judge nothing."""
    number: int
    """The image's number in the cache."""
    sample: str
    group: str
    point: str
    lens: str
    cell: tuple[int, int, int]
    """Step, row and column of the token."""
    frame: int
    """Frame of the model's input that shows it."""
    box: tuple[int, int, int, int]
    """Left, upper, right and lower edge in pixels of the model's input."""
    words: tuple[str, ...]
    words_of: str
    """Id of the sample that the words are of."""

    @property
    def is_own(self) -> bool:
        """True where the words are of the image itself."""
        return self.words_of == self.sample


def judge_items(table: Path, cache: Cache, each: int = EACH) -> list[JudgeItem]:
    """Returns up to `each` tokens of each point and lens with their own words, and the same with another image's.

    Chosen by a hash of sample and place among those with `BOX` × `BOX` tokens of the picture around them, in an order
    that tells nothing.
    """
    numbers = {row["id"]: number for number, row in enumerate(cache.rows)}
    best: dict[tuple[str, str], list[tuple[bytes, str, int, tuple[str, ...]]]] = {}
    for sample, place, found in neighbours(table):
        grid = cache[place[0]].grid_of(numbers[sample])
        own = best.setdefault(place, [])
        for token in _inner(cache.rows[numbers[sample]], grid):
            key = hashlib.sha256(f"judge {sample} {grid} {token}".encode()).digest()
            own.append((key, sample, token, tuple(found.words_QK[token].tolist())))
        best[place] = sorted(own)[: 4 * each]  # more than are judged, so that words of other images can be found
    items = []
    for (point, lens), candidates in sorted(best.items()):
        for number, (_, sample, token, words) in enumerate(candidates[:each]):
            others = candidates[number + 1 :] + candidates[:number]
            group = _group(cache, numbers[sample])
            other = next((own for own in others if _group(cache, numbers[own[1]]) != group), None)
            for words_of, shown in [(sample, words), *([(other[1], other[3])] if other else [])]:
                items.append(_item(cache, numbers[sample], point, lens, token, shown, words_of))
    return sorted(items, key=lambda item: item.id)


def _inner(row: SampleTableRow, grid: Grid) -> list[int]:
    """Returns the tokens of the picture that have neighbours on all sides, or all of a grid that has none such."""
    margin = BOX // 2
    tokens = np.arange(grid.tokens).reshape(grid)
    inner = tokens[:, margin : grid.h - margin, margin : grid.w - margin]
    seen_N = shows_picture(row, grid)
    found: list[int] = [token for token in (inner if inner.size else tokens).ravel().tolist() if seen_N[token]]
    return found


def _group(cache: Cache, number: int) -> str:
    return str(cache.rows[number]["group"])


def _item(
    cache: Cache, number: int, point: str, lens: str, token: int, words: tuple[str, ...], words_of: str
) -> JudgeItem:
    row, grid, pixels = cache.rows[number], cache[point].grid_of(number), cache[PIXELS].grid_of(number)
    step, y, x = (int(axis) for axis in np.unravel_index(token, grid))
    name = f"{row['id']} {point} {lens} {token} {words_of} {' '.join(words)}"
    return JudgeItem(
        id=hashlib.sha256(name.encode()).hexdigest()[:16],
        number=number,
        sample=row["id"],
        group=str(row["group"]),
        point=point,
        lens=lens,
        cell=(step, y, x),
        frame=int((step + 0.5) * pixels.t / grid.t),
        box=_box(pixels, grid, y, x),
        words=tuple(dict.fromkeys(words)),
        words_of=words_of,
    )


def _box(pixels: Grid, grid: Grid, y: int, x: int) -> tuple[int, int, int, int]:
    margin, height, width = BOX // 2, pixels.h / grid.h, pixels.w / grid.w
    left, upper = max(0, x - margin) * width, max(0, y - margin) * height
    right, lower = min(grid.w, x + margin + 1) * width, min(grid.h, y + margin + 1) * height
    return round(left), round(upper), round(right), round(lower)


@dataclass(frozen=True, slots=True)
class JudgedRates:
    """What a judge found at one point by one lens."""

    intervals: Mapping[str, Interval]
    """`rate`, `chance` of words of other images, and `over_chance`, the first less the second."""
    items: int
    groups: float


def require_items(verdicts: Mapping[str, bool], items: Iterable[JudgeItem]) -> None:
    """Raises `ProbeError` for verdicts of other items."""
    if unknown := set(verdicts) - {item.id for item in items}:
        raise ProbeError(
            f"there are {len(unknown):,} verdicts of items that these words do not have, such as {min(unknown)}; "
            "import those of the items that --export-judge wrote from the same cache and index"
        )


def judged_rates(items: Sequence[JudgeItem], said: Mapping[str, bool]) -> dict[tuple[str, str], JudgedRates]:
    """Returns rates by point and lens; items without a verdict have no part in them."""
    found = {}
    for place in dict.fromkeys((item.point, item.lens) for item in items):
        own = [item for item in items if (item.point, item.lens) == place and item.id in said]
        if {item.is_own for item in own} != {True, False}:
            continue
        scores = np.array([[item.is_own, not item.is_own, said[item.id]] for item in own], float)
        groups = [item.group for item in own]
        found[place] = JudgedRates(bootstrap(scores, groups, _rates), len(own), effective_groups(groups))
    return found


def _rates(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    own_S, other_S, said_S = np.asarray(scores).T
    with np.errstate(invalid="ignore"):
        rate_R = counts_RS @ (own_S * said_S) / (counts_RS @ own_S)
        chance_R = counts_RS @ (other_S * said_S) / (counts_RS @ other_S)
    return {"rate": rate_R, "chance": chance_R, "over_chance": rate_R - chance_R}


def read_verdicts(path: Path) -> dict[str, bool]:
    """Returns what a judge said, by item. Raises `ProbeError` for a file that is no list of verdicts."""
    found = {}
    try:
        for where, verdict in read_json_lines(path):
            says = _says(verdict)
            if not isinstance(verdict.get("id"), str) or isinstance(says, str):
                raise ProbeError(
                    f"{where} is no verdict; expected 'id' and 'interpretable' (true, false, or null), or lists of "
                    f"words under {', '.join(KINDS)}"
                )
            if says is not None:
                found[verdict["id"]] = says
    except AnswersError as error:
        raise ProbeError(str(error)) from None
    return found


def _says(verdict: Mapping[str, Any]) -> bool | str | None:
    """Returns what a judge said; a text where it cannot be told."""
    if any(isinstance(verdict.get(kind), list) for kind in KINDS):
        return any(verdict.get(kind) for kind in KINDS)
    says = verdict.get("interpretable", "")
    return says if says is None or isinstance(says, bool) else "unknown"
