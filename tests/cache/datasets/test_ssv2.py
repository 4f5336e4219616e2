"""Something-Something v2 in its published layouts, and damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from foresight_cache import datasets
from tests.support import video_sets
from tests.support.made_clips import counting, song
from tests.support.reading import broken, refused, sound_samples


class TestSomethingSomething:
    @pytest.mark.parametrize(
        "layout",
        [
            {},
            {"older": True},
            {"labels": ".", "clips": "videos/{}.mp4"},
            {"labels": "annotations", "older": True, "clips": "{}.avi"},
            {"clips": "rawframes/{}"},
        ],
        ids=["newer", "older", "videos", "root", "frames"],
    )
    def test_layouts(self, tmp_path: Path, layout: dict[str, object]) -> None:
        root = video_sets.ssv2(tmp_path, **layout)  # type: ignore[arg-type]
        assert datasets.reader("ssv2")("ssv2", root).splits() == ("train", "validation", "test")
        train = sound_samples("ssv2", root, "train")
        assert [sample.id for sample in train] == ["ssv2/train/101", "ssv2/train/102", "ssv2/train/103"]
        assert train[0].annotations["action"] == {
            "label": "holding a mug next to a red book",
            "template": "Holding [something] next to [something]",
            "class": "Holding something next to something",
            "class_id": 0,
            "direction": None,
            "placeholders": ["a mug", "a red book"],
        }
        assert [sample.annotations["action"]["direction"] for sample in train] == [None, "right", "camera left"]
        up, putting = (sample.annotations["action"] for sample in sound_samples("ssv2", root, "validation"))
        assert (up["direction"], up["class_id"], putting["class_id"]) == ("up", 3, 4)
        assert [sample.annotations["action"]["class_id"] for sample in sound_samples("ssv2", root, "test")] == [0, 1]
        for split in video_sets.SPLITS:
            assert broken("ssv2", root, split) == {}

    def test_a_test_split_without_answers(self, tmp_path: Path) -> None:
        root = video_sets.ssv2(tmp_path)
        (root / "labels/test-answers.csv").unlink()
        assert [sample.annotations for sample in sound_samples("ssv2", root, "test")] == [{}, {}]

    def test_directions_are_of_published_classes(self) -> None:
        """Every class once; left and right, and up and down, in pairs of the same words."""
        from foresight_cache.datasets.layouts.ssv2 import DIRECTIONS

        names = [name for group in DIRECTIONS.values() for name in group]
        assert len(set(names)) == len(names) == 24
        mirrored = {name.replace("right to left", "left to right") for name in DIRECTIONS["left"]}
        assert mirrored == set(DIRECTIONS["right"])

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (
                lambda clip: clip.unlink(),
                "the clip is missing: there is no 102.webm, .mp4, .avi or folder of frames in",
            ),
            (lambda clip: clip.write_bytes(b""), "the file is empty; expected a video"),
            (lambda clip: clip.write_bytes(clip.read_bytes()[:-9]), "is cut off: it has "),
            (lambda clip: clip.write_bytes(song()), "has no video in it, only audio"),
            (lambda clip: clip.rename(clip.with_suffix(".txt")), "102.txt is no video; expected 102 with one of .webm"),
            (lambda clip: clip.with_suffix(".mp4").write_bytes(b""), "several clips of that name: 102.mp4, 102.webm"),
            (lambda clip: clip.write_bytes(b"<html>404</html>" * 50), "cannot be read"),
        ],
        ids=["missing", "empty", "cut", "song", "suffix", "twice", "page"],
    )
    def test_a_damaged_clip(self, tmp_path: Path, damage: Callable[[Path], object], words: str) -> None:
        root = video_sets.ssv2(tmp_path)
        damage(root / "20bn-something-something-v2/102.webm")
        reasons = broken("ssv2", root, "train")
        assert list(reasons) == ["ssv2/train/102"]
        assert words in reasons["ssv2/train/102"]

    def test_a_link_out_of_the_folder(self, tmp_path: Path) -> None:
        root = video_sets.ssv2(tmp_path / "root")
        clip = root / "20bn-something-something-v2/102.webm"
        clip.rename(tmp_path / "outside.webm")
        clip.symlink_to(tmp_path / "outside.webm")
        assert "is a link out of the folder" in broken("ssv2", root, "train")["ssv2/train/102"]

    def test_a_suffix_that_lies_is_no_harm(self, tmp_path: Path) -> None:
        root = video_sets.ssv2(tmp_path)
        (root / "20bn-something-something-v2/102.webm").write_bytes(counting(4, "mp4"))
        assert broken("ssv2", root, "train") == {}

    @pytest.mark.parametrize(
        ("record", "words"),
        [
            ({"template": "Eating [something]"}, "is no class: labels.json does not list 'Eating something'"),
            ({"template": None}, "its template is None, expected a text"),
            ({"template": 3}, "its template is 3, expected a text"),
            ({"placeholders": "a mug"}, "its placeholders are 'a mug', expected a list of texts"),
            ({"id": "../../etc/passwd"}, "has no number or text without '/' under 'id'"),
            ({"id": None}, "has no number or text without '/' under 'id'"),
        ],
    )
    def test_a_wrong_record(self, tmp_path: Path, record: dict[str, object], words: str) -> None:
        root = video_sets.ssv2(tmp_path)
        path = root / "labels/train.json"
        records = json.loads(path.read_text())
        records[1].update(record)
        path.write_text(json.dumps(records))
        reasons = broken("ssv2", root, "train")
        assert len(reasons) == 1
        assert words in next(iter(reasons.values()))

    @pytest.mark.parametrize(
        ("file", "content", "words"),
        [
            ("train.json", '[{"id": "101"}, {"id": 101}]', "lists the same clip more than once: 101"),
            ("train.json", "{}", "is not a list of clips"),
            ("train.json", "[", "is not JSON"),
            ("labels.json", '{"a": "x"}', "is not a list of classes"),
            ("labels.json", "[]", "is not a list of classes"),
            ("test-answers.csv", "301\n", "line 1: expected the id of a clip and its class"),
        ],
    )
    def test_a_wrong_file(self, tmp_path: Path, file: str, content: str, words: str) -> None:
        root = video_sets.ssv2(tmp_path)
        (root / "labels" / file).write_text(content)
        assert words in refused("ssv2", root, "test" if "test" in file else "train")

    def test_missing_files(self, tmp_path: Path) -> None:
        assert "has no annotations; expected ROOT/" in refused("ssv2", tmp_path, "train")
        root = video_sets.ssv2(tmp_path)
        (root / "labels/labels.json").unlink()
        assert "there is no labels.json" in refused("ssv2", root, "train")
        (root / "labels/validation.json").unlink()
        assert "has no split 'validation'; splits there: train, test" in refused("ssv2", root, "validation")
