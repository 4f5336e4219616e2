"""PIVOT-1 on clips with boxes that move: the group trains, is read, and its memory is counted."""

import hashlib
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter
from foresight_probes import heads, tasks
from foresight_probes.features.patches import grid_cells
from foresight_probes.options import TrainingOptions
from foresight_probes.studies.joining import join
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import carry_out
from foresight_probes.studies.token_classes import TokenClasses
from pipelines import studies
from tests.support import planted_stages

PATCH, MERGED = Grid(4, 4, 4), Grid(4, 2, 2)
SIDE = 64


def boxes_of(clip: int) -> np.ndarray:
    """Box in each of 4 frames, float [4, 4]: it goes to the right."""
    generator = np.random.default_rng(clip)
    start, size = generator.uniform(0, 20, 2), generator.uniform(16, 30, 2)
    corner = start + np.arange(4)[:, None] * [4.0, 0.0]
    return np.concatenate([corner, corner + size], axis=1)


def tokens(clip: int, grid: Grid) -> np.ndarray:
    """Each token knows the box of its frame, its own place and the time, under noise."""
    facts = [np.repeat(boxes_of(clip) / SIDE, grid.h * grid.w, axis=0), grid_cells(grid).numpy()]
    time = np.repeat(np.arange(4), grid.h * grid.w)[:, None] / 4
    noise = np.random.default_rng([1, clip]).normal(size=(grid.tokens, 4))
    return np.concatenate([*facts, time, noise], axis=1).astype(ml_dtypes.bfloat16)


def sample(clip: int) -> Sample:
    track = {"category": "hand", "category_id": 1, "annotation_id": "hand", "boxes": boxes_of(clip).tolist()}
    return Sample(
        **{"id": f"something-else/validation/{clip}", "dataset": "something-else", "split": "validation"},
        **{"group": str(clip), "media": "clip", "file_name": f"{clip}.webm", "width": SIDE, "height": SIDE},  # type: ignore[arg-type]
        **{"frames": 4, "frames_per_second": 12.0},  # type: ignore[arg-type]
        annotations={"tracks": {"frames_per_second": 12, "frames": [0, 1, 2, 3], "objects": [track]}},
    )


def write(folder: Path, clips: int = 60) -> Cache:
    points = {
        "vit.pre_merge": PointLayout.fixed("patch", "bfloat16", PATCH.tokens, 13),
        "vit.post_merge": PointLayout.fixed("merged", "bfloat16", MERGED.tokens, 13),
    }
    model = {"name": "planted", "weights": "random", "dtype": "bfloat16", "taps": list(planted_stages.TAPS)}
    source = ShardSource(name="0.tar", sha256=hashlib.sha256(b"0").hexdigest(), samples=clips)
    fingerprint = {"model": model, "dataset": {"name": "something-else"}, "input": {"size": str(SIDE)}}
    layout = CacheLayout(fingerprint=fingerprint, samples_per_shard=clips, shards=(source,), points=points)
    grids = {"pixel": Grid(4, SIDE, SIDE), "patch": PATCH, "merged": MERGED}
    with CacheWriter(folder, layout) as writer:
        for pending in writer.pending(tuple(points)):
            with writer.shard(pending) as shard:
                for clip in range(clips):
                    shard.add(clip, "vit.pre_merge", tokens(clip, PATCH))
                    shard.add(clip, "vit.post_merge", tokens(clip, MERGED))
                own = {"status": "ok", "reason": None, "grids": grids, "frames": (0, 1, 2, 3)}
                shard.commit([SampleRow(sample=sample(clip), **own) for clip in range(clips)])  # type: ignore[arg-type]
    return open_cache(folder)


def test_the_group_is_trained_and_memory_is_counted(tmp_path: Path) -> None:
    """Both points have 13 channels, so that features before the merger take as many times more as tokens."""
    cache, study = write(tmp_path / "cache"), studies.load("pivot1")
    quick = TrainingOptions(epochs=1, device="cpu", patience=1)
    clips = replace(study.runs["clips"], controls=False, options=quick)
    own = replace(study, runs={"clips": clips})
    plan = plan_study(own, join(study, [cache.path]), tmp_path / "out", Settings())
    others = {name: "left out of this test" for name in study.runs if name != "clips"}
    whole = replace(plan, study=replace(study, runs={**study.runs, "clips": clips}), missing={**plan.missing, **others})
    carried = carry_out(whole)
    assert not carried.failed
    results = {(result.task, result.head) for result in carried.results["clips"]}
    assert {("boxes", "token-linear"), ("order", "temporal-linear")} <= results
    claims = {claim.name: claim for claim in carried.findings.claims}
    assert claims["clip-iou.go"].status == "undecided"
    assert "groups are too few" in claims["clip-iou.go"].why
    assert claims["order.above-chance"].status == "undecided"
    assert claims["memory.no-go"].why == "4.000 at E4 over E5"
    assert (claims["memory.no-go"].status, claims["memory-of-both.no-go"].status) == ("met", "met")
    assert claims["memory-of-both.no-go"].why.startswith("5.000")


def test_classes_of_a_clip_are_those_of_its_middle_frame(tmp_path: Path) -> None:
    cache = write(tmp_path / "cache", 4)
    classes = TokenClasses(cache, range(4))
    for clip in range(4):
        x0, y0, x1, y1 = boxes_of(clip)[2] / SIDE
        x, y = grid_cells(PATCH)[:16, 0].numpy(), grid_cells(PATCH)[:16, 1].numpy()
        found = classes.of(clip, PATCH).reshape(4, 16)
        assert (found[[0, 1, 3]] == -1).all()
        assert np.array_equal(found[2] > 0, (x > x0) & (x < x1) & (y > y0) & (y < y1))


@pytest.mark.parametrize("name", studies.names())
def test_no_study_asks_for_boxes_by_heads_that_look_at_steps_in_time(name: str) -> None:
    """They are for what happens in a clip; boxes are those of one frame."""
    for group in studies.load(name).runs.values():
        for task in {"boxes", "naive-boxes", "detection", "position"} & set(group.tasks):
            used = heads.resolve(group.heads or tasks.load(task).heads)
            assert not [head for head in used if head.startswith("temporal-")]
