"""UCF101 in its published layout, and damaged."""

from pathlib import Path

import pytest

from foresight_cache import datasets
from tests.support import video_sets
from tests.support.reading import broken, refused, sound_samples


class TestUcf101:
    @pytest.mark.parametrize("suffix", [".avi", ".mp4", ""])
    def test_layout(self, tmp_path: Path, suffix: str) -> None:
        root = video_sets.ucf101(tmp_path, suffix)
        reader = datasets.reader("ucf101")("ucf101", root)
        assert reader.splits() == ("train1", "test1", "train2", "test2", "train3", "test3")
        train, test = sound_samples("ucf101", root, "train1"), sound_samples("ucf101", root, "test1")
        assert [sample.id for sample in test][:2] == [
            "ucf101/test1/v_ApplyEyeMakeup_g01_c01",
            "ucf101/test1/v_ApplyEyeMakeup_g01_c02",
        ]
        assert {sample.group for sample in test} == {"ucf101/v_ApplyEyeMakeup_g01", "ucf101/v_YoYo_g01"}
        assert {sample.group for sample in train} & {sample.group for sample in test} == set()
        assert [sample.annotations["action"]["class_id"] for sample in train] == [0, 0, 1, 1]
        assert broken("ucf101", root, "train2") == {}

    def test_damage(self, tmp_path: Path) -> None:
        root = video_sets.ucf101(tmp_path)
        (root / "UCF-101/YoYo/v_YoYo_g01_c01.avi").unlink()
        (root / "UCF-101/YoYo/v_YoYo_g01_c02.avi").write_bytes(b"")
        with (root / "ucfTrainTestlist/testlist01.txt").open("a") as file:
            file.write("Juggling/v_Juggling_g01_c01.avi\n")
        reasons = broken("ucf101", root, "test1")
        assert [each.split("/")[-1] for each in reasons] == ["v_YoYo_g01_c01", "v_YoYo_g01_c02", "v_Juggling_g01_c01"]
        for words, reason in zip(("missing", "empty", "not in classInd.txt"), reasons.values(), strict=True):
            assert words in reason

    @pytest.mark.parametrize(
        ("file", "content", "words"),
        [
            ("testlist01.txt", "../a.avi\n", "line 1: '../a.avi' names no clip"),
            (
                "testlist01.txt",
                "YoYo/v_YoYo_g01_c01.avi\n" * 2,
                "line 2: 'YoYo/v_YoYo_g01_c01.avi' is there more than once",
            ),
            ("classInd.txt", "1 YoYo\n2 YoYo\n", "line 2: expected a number and a class"),
        ],
    )
    def test_wrong_lists(self, tmp_path: Path, file: str, content: str, words: str) -> None:
        root = video_sets.ucf101(tmp_path)
        (root / "ucfTrainTestlist" / file).write_text(content)
        assert words in refused("ucf101", root, "test1")
        assert "is not a UCF101 folder" in refused("ucf101", tmp_path / "UCF-101", "test1")
