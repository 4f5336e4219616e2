"""Boxes of Something-Else for clips of Something-Something v2, in the form of its published sample file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from foresight_cache import datasets, open_cache
from foresight_cache.annotations import check_annotations
from foresight_cache.datasets import BrokenSample, RemarkingReader
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.tracks import with_objects
from tests.support import video_sets
from tests.support.command import foresight
from tests.support.made_clips import encode
from tests.support.reading import broken, refused, sound_samples


def label(name: str, box: tuple[float, ...], track: str | None = None) -> dict[str, Any]:
    return {
        "box2d": {"y1": box[1], "y2": box[3], "x1": box[0], "x2": box[2]},
        "gt_annotation": track or ("object hand" if name == "hand" else "object 0"),
        "category": name,
        "standard_category": "hand" if name == "hand" else "0000",
    }


def frame(clip: object, number: int, *labels: dict[str, Any], **changes: Any) -> dict[str, Any]:
    published = {
        **{"url": f"https://example.org/{clip}/{number:04d}.jpg", "split": "80perc_95", "task_index": 681},
        **{"gt_placeholders": ["bottle"], "name": f"{clip}/{number:04d}.jpg", "nr_instances": len(labels)},
    }
    return {**published, "labels": list(labels), **changes}


def something_else(root: Path, **changes: Any) -> Path:
    """The set of `video_sets` with boxes of three of its clips, in two parts; `changes` replace clips of the first."""
    video_sets.ssv2(root)
    bottle, hand = (10.5, 4, 30, 20.25), (0, 0, 8, 48)
    frames = [
        frame(101, 1, label("bottle", bottle), label("hand", hand)),
        frame(101, 2, label("bottle", (11, 4, 31, 20)), label("hand", hand), label("hand", (50, 0, 64, 48))),
        frame(101, 4),
    ]
    parts: list[dict[str, Any]] = [
        {"101": frames, "102": [frame(102, 1, label("hand", hand))], **changes},
        {"201": [frame(201, number, label("mug", bottle)) for number in range(1, 7)]},
    ]
    for number, part in enumerate(parts, start=1):
        (root / f"bounding_box_smthsmth_part{number}.json").write_text(json.dumps(part))
    return root


def tracks(root: Path, split: str = "train") -> dict[str, Any]:
    samples = sound_samples("something_else", root, split)
    return {sample.id.rpartition("/")[2]: sample.annotations.get("tracks") for sample in samples}


def test_tracks_of_things_and_hands(tmp_path: Path) -> None:
    root = something_else(tmp_path)
    found = tracks(root)
    assert found["101"] == {
        "frames_per_second": 12,
        "frames": [0, 1, 3],
        "objects": [
            {
                **{"category": "object", "category_id": 2, "name": "bottle", "annotation_id": "object 0"},
                "boxes": [[10.5, 4, 30, 20.25], [11, 4, 31, 20], None],
            },
            {
                **{"category": "hand", "category_id": 1, "name": "hand", "annotation_id": "object hand"},
                "boxes": [[0, 0, 8, 48], [0, 0, 8, 48], None],
            },
            {
                **{"category": "hand", "category_id": 1, "name": "hand", "annotation_id": "object hand (2)"},
                "boxes": [None, [50, 0, 64, 48], None],
            },
        ],
    }
    assert found["103"] is None
    (action,) = [
        s.annotations["action"] for s in sound_samples("something_else", root, "train") if s.id.endswith("101")
    ]
    assert action["class"] == "Holding something next to something"
    assert tracks(root, "validation")["201"]["frames"] == [0, 1, 2, 3, 4, 5]


def test_the_older_form_and_one_file_beside_the_labels(tmp_path: Path) -> None:
    root = video_sets.ssv2(tmp_path)
    boxes = [frame(101, 1, label("hand", (0, 0, 8, 9)), label("cup", (1, 2, 3, 4)))]
    for each in boxes[0]["labels"]:
        del each["gt_annotation"], each["standard_category"]
    (root / "labels" / "something-else.json").write_text(json.dumps({"101": boxes}))
    assert [each["annotation_id"] for each in tracks(root)["101"]["objects"]] == ["cup", "hand"]
    assert "tracks" in sound_samples("ssv2", root, "train")[0].annotations, "taken along by the other family too"


def test_what_is_missing_or_miscounted_is_told(tmp_path: Path) -> None:
    miscounted = [frame(102, number, label("hand", (0, 0, 8, 8)), nr_instances=2) for number in range(1, 6)]
    reader = datasets.reader("something_else")("s", something_else(tmp_path, **{"102": miscounted}))
    assert isinstance(reader, RemarkingReader)
    assert not [
        each
        for split in ("train", "validation", "test")
        for each in reader.samples(split)
        if isinstance(each, BrokenSample)
    ]
    assert reader.remarks() == (
        "train: 1 of 3 clips have no boxes",
        "train: 5 frames have another number of boxes than 'nr_instances', as 102/0001.jpg, 102/0002.jpg, 102/0003.jpg",
        "validation: 1 of 2 clips have no boxes",
        "test: 2 of 2 clips have no boxes",
    )


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (
            [frame(103, 1, label("hand", (0, 0, 8, 8)))],
            "its boxes have the frame '103/0001.jpg', which is of another clip",
        ),
        ([frame(102, 1), frame(102, 1)], "its boxes have the frame 1 more than once"),
        (
            [frame(102, 1, name="first.jpg")],
            "its boxes have a frame 'first.jpg', expected a name such as '102/",
        ),
        ([frame(102, 0)], "its boxes have a frame '102/0000.jpg'"),
        ([frame(102, 1, label("cup", (9, 0, 8, 8)))], "its box of 'cup' in frame 102/0001.jpg is [9.0, 0.0, 8.0, 8.0]"),
        ([frame(102, 1, {"category": "cup"})], "its boxes in frame 102/0001.jpg have a label"),
        ([frame(102, 1, label("cup", ("1", 0, 8, 8)))], "its box of 'cup' in frame 102/0001.jpg is ['1', 0, 8, 8]"),  # type: ignore[arg-type]
        ({"a": 1}, "its boxes are {'a': 1}, expected a list of frames"),
        ([3], "its boxes are [3], expected a list of frames"),
    ],
)
def test_boxes_that_contradict_themselves(tmp_path: Path, clip: Any, reason: str) -> None:
    reasons = broken("something_else", something_else(tmp_path, **{"102": clip}), "train")
    assert list(reasons) == ["something_else/train/102"]
    assert reasons["something_else/train/102"].startswith(reason)


def _of_other_clips(root: Path) -> None:
    (root / "bounding_box_smthsmth_part1.json").write_text(json.dumps({"999": [frame(999, 1)]}))


def _none(root: Path) -> None:
    for path in root.glob("bounding_box*"):
        path.unlink()


def _twice(root: Path) -> None:
    (root / "bounding_box_smthsmth_part2.json").write_text(json.dumps({"101": [frame(101, 1)]}))


def _twice_in_one(root: Path) -> None:
    (root / "bounding_box_smthsmth_part1.json").write_text('{"101": [], "101": []}')


def _cut_off(root: Path) -> None:
    path = root / "bounding_box_smthsmth_part1.json"
    path.write_text(path.read_text()[:-9])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            _of_other_clips,
            "part1.json has boxes of 2 clips, such as '999', and of none of the 3 of split 'train'",
        ),
        (_none, "has no boxes: there is no bounding_box_smthsmth_part1.json .* prepare the clips as 'ssv2'"),
        (_twice, r"part2.json and .*part1.json both have boxes of the clip '101'"),
        (_twice_in_one, "part1.json is not JSON: the key '101' stands in it twice"),
        (_cut_off, "part1.json is not JSON"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, damage: Callable[[Path], None], sentence: str) -> None:
    root = something_else(tmp_path)
    damage(root)
    with pytest.raises(DatasetError, match=sentence):
        list(datasets.reader("something_else")("s", root).samples("train"))


class TestObjectsAtATime:
    TRACKS: ClassVar[dict[str, Any]] = {
        "frames_per_second": 12,
        "frames": [0, 1, 3],
        "objects": [
            {"category": "hand", "category_id": 1, "annotation_id": "hand", "boxes": [[0, 0, 4, 5], None, [1, 1, 2, 2]]}
        ],
    }

    @pytest.mark.parametrize(
        ("frames", "rate", "boxes"),
        [
            ((0,), 12.0, [[0, 0, 4, 5]]),
            ((0, 1, 2), 12.0, []),
            ((1, 3), None, [[1, 1, 2, 2]]),
            ((6,), 24.0, [[1, 1, 2, 2]]),
            ((7,), 30.0, [[1, 1, 2, 2]]),
            ((2,), 12.0, None),  # nobody drew boxes in it
            ((90,), 12.0, None),
            ((), 12.0, None),
        ],
    )
    def test_they_are_those_of_the_middle_frame(self, frames: tuple[int, ...], rate: float | None, boxes: Any) -> None:
        objects = with_objects({"tracks": self.TRACKS}, frames, rate).get("objects")
        assert (objects and [each["box"] for each in objects]) == boxes or (boxes == [] and objects == [])
        for each in objects or ():
            check_annotations({"objects": [each]}, width=9, height=9)

    def test_the_schema(self) -> None:
        check_annotations({"tracks": self.TRACKS}, width=4, height=5)
        for change in ({"frames": [0, 1]}, {"frames": [0, 3, 1]}, {"frames_per_second": 0}, {"more": 1}):
            with pytest.raises(BadSample, match=r"annotations\.tracks"):
                check_annotations({"tracks": {**self.TRACKS, **change}}, width=4, height=5)
        with pytest.raises(BadSample, match=r"annotations\.tracks\.objects\[0\]\.boxes is "):
            check_annotations({"tracks": self.TRACKS}, width=3, height=5)


def test_the_file_is_not_missed(tmp_path: Path) -> None:
    root = something_else(tmp_path)
    assert "has no split" in refused("something_else", root, "dev")


def test_box_tasks_run_on_clips(tmp_path: Path) -> None:
    """From the published form to the metrics: the boxes of each clip in the middle one of the frames taken."""
    root, clips = tmp_path / "raw", 24
    root.mkdir()
    (root / "labels.json").write_text(json.dumps({"Moving something up": "0"}))
    records = [{"id": str(n), "template": "Moving [something] up", "placeholders": ["mug"]} for n in range(clips)]
    (root / "train.json").write_text(json.dumps(records))
    boxes = {
        str(n): [frame(n, t, label("mug", (n, t, n + 20, t + 10)), label("hand", (0, 0, 9, 9))) for t in range(1, 7)]
        for n in range(clips)
    }
    (root / "bounding_box_annotations.json").write_text(json.dumps(boxes))
    for number in range(clips):
        picture = np.full((6, 48, 64, 3), 9 * number, np.uint8)
        video_sets.clip(root / "videos" / f"{number}.mp4").write_bytes(encode(picture, rate=12))
    prepared = foresight("prepare", "something-else", "--root", root, "--split", "train", "--out", tmp_path / "s")
    assert prepared.returncode == 0, prepared.stderr
    options = ("--model", "tiny:dinov2", "--clips-as", "images", "--frames", 3, "--size", 56)
    extracted = foresight("extract", tmp_path / "s", *options, "--points", "vit.block_01", "--out", tmp_path / "c")
    assert extracted.returncode == 0, extracted.stderr
    rows = open_cache(tmp_path / "c").rows
    assert {row["frame_indices"] for row in rows} == {(1, 3, 5)}
    number = int(rows[5]["id"].rpartition("/")[2])
    assert [thing["box"] for thing in rows[5]["annotations"]["objects"]] == [[number, 4, number + 20, 14], [0, 0, 9, 9]]
    run = foresight("train-probe", tmp_path / "c", "--task", "boxes", "--out", tmp_path / "r", "--epochs", 1)
    assert run.returncode == 0, run.stderr
    assert "mean_iou" in run.stdout
