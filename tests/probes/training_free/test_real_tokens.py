"""Masks that are passed on and votes of kept tokens, of real DINOv2-small tokens of real clips and photographs.

The straightforward versions read the cache by zarr alone and go token by token, pixel by pixel. The numbers are those
that `docs/studies.md` states.
"""

from pathlib import Path

import numpy as np
import pytest

from foresight_cache.reader import Cache, open_cache
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import Table
from foresight_probes.studies.study import SectionRequest
from foresight_probes.training_free.propagation import PropagationOptions, propagate
from foresight_probes.training_free.token_memory import NEIGHBOURS, TEMPERATURE, TokenMemory
from tests.probes.training_free import test_propagation, test_token_memory
from tests.support.command import foresight
from tests.support.panned_photographs import write_davis
from tests.support.planted_study import STUDY

POINT = "vit.block_09"
PANNED = {"J&F": 0.669, "J": 0.782, "F": 0.555, "J of tokens": 0.812, "J&F of the first mask": 0.379}
"""Of three clips with nine objects, at that point."""
HALVES = (0.696, 0.318)
"""Accuracy of votes for the classes of the right halves of three photographs, and of the most frequent class."""

pytestmark = pytest.mark.slow


def extracted(folder: Path, assets: Path, dataset: str, root: Path, *words: object) -> Cache:
    run = foresight("prepare", dataset, "--root", root, *words, "--out", folder / "S")
    assert run.returncode == 0, run.stderr
    model = ("--model", assets / "models/dinov2-small-saliency", "--dtype", "float32", "--points", POINT)
    clips = ("--frames", 6, "--clips-as", "images")
    run = foresight("extract", folder / "S", *model, "--size", 224, *clips, "--out", folder / "C")
    assert run.returncode == 0, run.stderr
    return open_cache(str(folder / "C"))


def bare(cache: Cache, point: str, row: int, *shape: int) -> np.ndarray:
    return np.asarray(cache.zarr[point][row]).reshape(shape)  # type: ignore[index]


def enlarged(shares: np.ndarray, size: int) -> np.ndarray:
    """Bilinear, by the middles of pixels."""
    cells = len(shares)
    middles = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    low = np.minimum(middles.astype(int), cells - 2)
    part = (middles - low)[:, None]
    rows = shares[low] * (1 - part[..., None]) + shares[low + 1] * part[..., None]
    return np.asarray(rows[:, low] * (1 - part) + rows[:, low + 1] * part)


def scores_of_clip(tokens: np.ndarray, labels: np.ndarray) -> list[list[float]]:
    """J, F and J of tokens of each object."""
    middles = np.arange(16) * 14 + 7
    numbers = [0, *sorted(set(labels[0].ravel().tolist()) - {0})]
    first = (labels[0][np.ix_(middles, middles)][..., None] == numbers).astype(float)
    shares = test_propagation.straightforward(tokens, first, PropagationOptions())
    found: list[list[float]] = []
    for place, number in enumerate(numbers[1:], start=1):
        scores = []
        for frame in range(1, len(labels)):
            large = enlarged(shares[frame], 224)
            large = (large - large.min((0, 1))) / (large.max((0, 1)) - large.min((0, 1)))
            mask, truth = large.argmax(-1) == place, labels[frame] == number
            own = shares[frame].argmax(-1) == place
            true = labels[frame][np.ix_(middles, middles)] == number
            scores.append(
                [
                    (mask & truth).sum() / (mask | truth).sum() if (mask | truth).any() else 1.0,
                    test_propagation.davis_accuracy(mask, truth),
                    (own & true).sum() / (own | true).sum() if (own | true).any() else 1.0,
                ]
            )
        found.append(np.mean(scores, axis=0).tolist())
    return found


def test_masks_of_photographs_that_a_window_moves_over(assets: Path, tmp_path: Path) -> None:
    root = write_davis(assets, tmp_path / "DAVIS")
    cache = extracted(tmp_path, assets, "davis2017", root, "--partial", "--split", "val")
    evidence = Evidence(study=parse_study(STUDY, "mine.yaml"), results={}, caches={"images": cache})
    request = SectionRequest(kind="propagation", title="T", datasets=("images",), points=(POINT,))
    table = sections.load("propagation").parts(evidence, request)[0]
    assert isinstance(table, Table)
    row = dict(zip(table.columns, table.values[0], strict=True))
    own = {name: cell.value for name, cell in row.items() if isinstance(cell, Interval)}
    objects = [
        scores
        for number in range(3)
        for scores in scores_of_clip(
            bare(cache, POINT, number, 6, 16, 16, 384), bare(cache, "labels", number, 6, 224, 224)
        )
    ]
    j, f, of_tokens = np.mean(objects, axis=0)
    assert (row["clips"], row["objects"]) == (3, len(objects))
    assert (own["J"], own["F"], own["J of tokens"]) == pytest.approx((j, f, of_tokens), abs=2e-3)
    assert own["J&F"] == pytest.approx((own["J"] + own["F"]) / 2)
    assert {name: own[name] for name in PANNED} == pytest.approx(PANNED, abs=0.01)


def test_a_region_of_real_clips(assets: Path, tmp_path: Path) -> None:
    """Of the four clips a square in the middle of the first frame is passed on to two further frames."""
    cache = extracted(tmp_path, assets, "video-folder", assets / "data/videos")
    first = np.zeros((16, 16, 2))
    first[..., 0] = 1
    first[5:11, 5:11] = [0, 1]
    for number in range(len(cache.rows)):
        tokens = bare(cache, POINT, number, 6, 16, 16, 384)[[0, 1, 5]]
        found = propagate(tokens, first)
        assert found == pytest.approx(test_propagation.straightforward(tokens, first, PropagationOptions()), abs=1e-6)
        assert 0.02 < found[-1, ..., 1].mean() < 0.4


def test_halves_of_photographs_vote_for_the_other_halves(assets: Path, tmp_path: Path) -> None:
    """Tokens of the left halves of three photographs of ADE20K, whose labels are known, vote for the right halves."""
    root = assets / "data/ADEChallengeData2016"
    cache = extracted(tmp_path, assets, "ade20k", root, "--partial", "--split", "validation")
    assert len(cache.rows) == 3
    middles = np.arange(16) * 14 + 7
    tokens = np.stack([bare(cache, POINT, number, 16, 16, 384) for number in range(3)])
    labels = np.stack([bare(cache, "labels", number, 224, 224)[np.ix_(middles, middles)] for number in range(3)])
    ignored = cache.rows[0]["annotations"]["labels"]["ignore"]
    classes = np.where(labels == ignored, -1, labels.astype(int))
    kept, known = tokens[:, :, :8].reshape(-1, 384), classes[:, :, :8].ravel()
    own, truth = tokens[:, :, 8:].reshape(-1, 384), classes[:, :, 8:].ravel()
    names = np.unique(known[known >= 0])
    numbered = np.where(known >= 0, np.searchsorted(names, known), -1)
    votes = TokenMemory.of(kept, numbered).votes(own, len(names))
    expected = test_token_memory.straightforward(kept, numbered, own, NEIGHBOURS, TEMPERATURE, classes=len(names))
    assert votes == pytest.approx(expected, abs=1e-3)
    right = (names[votes.argmax(1)] == truth)[truth >= 0].mean()
    usual = (names[np.bincount(numbered[numbered >= 0]).argmax()] == truth)[truth >= 0].mean()
    assert (right, usual) == pytest.approx(HALVES, abs=0.02)
