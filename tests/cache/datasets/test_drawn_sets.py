"""Sets that are drawn with more than boxes: labels of pixels, actions and boxes of clips, as the pixels show them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresight_cache.datasets.synthetic import labelled_shapes, moving_shapes, shapes
from foresight_cache.errors import UsageError
from foresight_cache.shards import read_shard
from tests.support.preparing import prepare

COUNT = 40
Clip = tuple[np.ndarray, dict[str, Any]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Pixels [T, H, W, 3] by Pillow alone, and what is said of them."""
    root = tmp_path_factory.mktemp("moving")
    moving_shapes.generate(root, count=COUNT, seed=3)
    listed = json.loads((root / "motion_train.json").read_text())["clips"]
    frames = [sorted((root / "train" / clip["name"]).iterdir()) for clip in listed]
    return [
        (np.stack([np.asarray(Image.open(path)) for path in paths]), clip)
        for paths, clip in zip(frames, listed, strict=True)
    ]


def seen(frame: np.ndarray, name: str) -> np.ndarray:
    """Pixels of the thing with a name such as "red star"."""
    mask: np.ndarray = (frame == moving_shapes._COLOURS[name.split()[0]]).all(axis=-1)
    return mask


def test_boxes_are_tight_around_the_pixels_of_each_thing(clips: list[Clip]) -> None:
    for frames, said in clips:
        assert frames.shape == (16, 112, 112, 3)
        for thing in said["tracks"]["objects"]:
            sizes = set()
            for frame, box in zip(frames, thing["boxes"], strict=True):
                rows, columns = np.nonzero(seen(frame, thing["name"]))
                assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                sizes.add(len(rows))
            assert len(sizes) == 1, "nothing hides a part of it"


def test_motion_and_action_follow_from_the_boxes(clips: list[Clip]) -> None:
    actions = set()
    for _, said in clips:
        boxes = {thing["name"]: np.array(thing["boxes"]) for thing in said["tracks"]["objects"]}
        steps = {name: np.diff(own[:, :2], axis=0) for name, own in boxes.items() if (own[0] != own[-1]).any()}
        moving = said["objects"]
        assert len(steps) == len(moving)
        for own, thing in zip(steps.values(), moving, strict=True):
            assert (own == thing["velocity"]).all()
            assert thing["speed"] == np.hypot(*own[0])
        velocities = [own[0] for own in steps.values()]
        direction = said["action"]["direction"]
        if len(moving) == 1:
            assert direction == moving[0]["direction"]
        else:
            first, second = (own[0, 0] for own in boxes.values() if (own[0] != own[-1]).any())
            nearer = (velocities[0] - velocities[1])[0] * (second - first) > 0
            assert direction == ("together" if nearer else "apart")
        actions.add(said["action"]["class_id"])
    assert actions == set(range(6))


def test_played_backwards_a_line_becomes_shorter(clips: list[Clip]) -> None:
    for frames, said in clips:
        colours = [moving_shapes._COLOURS[thing["name"].split()[0]] for thing in said["tracks"]["objects"]]
        lines = [(frames == np.array(colour) // 2).all(axis=-1).sum(axis=(1, 2)) for colour in colours]
        assert lines[0][0] == 0
        assert (np.diff(lines[0]) >= 0).all()
        assert lines[0][-1] > 0


def test_labels_are_the_shapes_that_are_seen(tmp_path: Path) -> None:
    """The scenes are those of `shapes` with the same seed, whose boxes are around the same pixels."""
    labelled_shapes.generate(tmp_path / "labelled", count=6, seed=5)
    shapes.generate(tmp_path / "shapes", count=6, seed=5)
    listed = json.loads((tmp_path / "shapes" / "annotations" / "instances_train.json").read_text())
    names = {each["id"]: each["name"] for each in listed["categories"]}
    for number in range(6):
        labels = np.asarray(Image.open(tmp_path / "labelled" / "annotations" / "train" / f"{number:08d}.png"))
        drawn = np.asarray(Image.open(tmp_path / "shapes" / "train" / f"{number:012d}.png"), np.int64)
        lossy = np.asarray(Image.open(tmp_path / "labelled" / "images" / "train" / f"{number:08d}.jpg"), np.int64)
        assert np.abs(drawn - lossy).mean() < 2
        expected = np.full(labels.shape, 7)
        for thing in (each for each in listed["annotations"] if each["image_id"] == number):
            runs = thing["segmentation"]["counts"]
            inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(labels.shape, order="F")
            expected[inside] = 1 + list(shapes.SHAPES).index(names[thing["category_id"]])
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("name", ["labelled-shapes", "moving-shapes"])
def test_they_are_prepared_with_all_that_is_said(name: str, tmp_path: Path) -> None:
    summary = prepare(name, out=tmp_path / "S", limit=3, seed=1)
    assert summary.remarks == ()
    samples = [(sample, members) for sample, members in read_shard(summary.shards, 0)]
    kinds = {kind for sample, _ in samples for kind in sample.annotations}
    assert kinds == ({"labels"} if name == "labelled-shapes" else {"motion", "action", "tracks"})
    assert prepare(name, out=tmp_path / "T", limit=3, seed=1).shards.shards == summary.shards.shards


@pytest.mark.parametrize("generate", [labelled_shapes.generate, moving_shapes.generate])
def test_impossible_requests_are_refused(generate: Any, tmp_path: Path) -> None:
    for count, seed in ((0, 0), (1, -1)):
        with pytest.raises(UsageError, match="the count is 1 or more, the seed 0 or more"):
            generate(tmp_path, count=count, seed=seed)
