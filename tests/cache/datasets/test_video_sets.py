"""Video sets in their published layouts: what is found, what is said of what is not, and all the way to a cache."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foresight_cache import datasets, open_cache
from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.preparation.packing import pack_sample
from foresight_cache.samples import Sample
from tests.support import video_sets
from tests.support.command import foresight, said
from tests.support.made_clips import counting, number_in, song


def found(family: str, root: Path, split: str) -> list[Sample]:
    records = list(datasets.reader(family)(family, root).samples(split))
    assert all(isinstance(record, RawSample) for record in records), records
    return [record.sample for record in records if isinstance(record, RawSample)]


def broken(family: str, root: Path, split: str) -> dict[str, str]:
    """Reasons by id, of what the reader or the packing refuses; the rest must be sound."""
    reasons = {}
    for record in datasets.reader(family)(family, root).samples(split):
        if isinstance(record, BrokenSample):
            reasons[record.id] = record.reason
            continue
        try:
            pack_sample(record)
        except BadSample as error:
            reasons[record.sample.id] = str(error)
    return reasons


def refused(family: str, root: Path, split: str) -> str:
    with pytest.raises(DatasetError) as caught:
        list(datasets.reader(family)(family, root).samples(split))
    return str(caught.value)


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
        train = found("ssv2", root, "train")
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
        up, putting = (sample.annotations["action"] for sample in found("ssv2", root, "validation"))
        assert (up["direction"], up["class_id"], putting["class_id"]) == ("up", 3, 4)
        assert [sample.annotations["action"]["class_id"] for sample in found("ssv2", root, "test")] == [0, 1]
        for split in video_sets.SPLITS:
            assert broken("ssv2", root, split) == {}

    def test_a_test_split_without_answers(self, tmp_path: Path) -> None:
        root = video_sets.ssv2(tmp_path)
        (root / "labels/test-answers.csv").unlink()
        assert [sample.annotations for sample in found("ssv2", root, "test")] == [{}, {}]

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
            ("train.json", "{}", "is no list of clips"),
            ("train.json", "[", "is not JSON"),
            ("labels.json", '{"a": "x"}', "is no list of classes"),
            ("labels.json", "[]", "is no list of classes"),
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


class TestFolders:
    """Frames of a clip as files, in any of the sets."""

    def test_numbers_count_and_not_letters(self, tmp_path: Path) -> None:
        folder = video_sets.frame_folder(tmp_path / "a", 12, "frame{}.png")
        (folder / "notes.txt").write_text("not a frame")
        record = next(iter(datasets.reader("video_folder")("mine", tmp_path).samples("all")))
        assert isinstance(record, RawSample)
        _, members = pack_sample(record)
        from foresight_cache.media.clips import decode_clip

        assert [number_in(pixels) for pixels in decode_clip(members, range(12))] == list(range(12))

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (
                lambda a: (a / "img_00003.jpg").unlink(),
                "frames are missing between img_00002.jpg and img_00004.jpg: 1",
            ),
            (lambda a: (a / "img_00003.jpg").write_bytes(b""), "the file is empty"),
            (lambda a: (a / "img_7.jpg").write_bytes((a / "img_00002.jpg").read_bytes()), None),
            (lambda a: (a / "img_06.jpg").write_bytes(b"x"), "have one number"),
            (lambda a: (a / "img_00003.jpg").rename(a / "img_00003.png"), "of the kinds jpg, png; expected one"),
            (
                lambda a: (a / "img_00003.jpg").write_bytes(
                    video_sets.image_bytes(np.zeros((8, 8, 3), np.uint8), "JPEG")
                ),
                "frames of 64×48 and of 8×8 pixels",
            ),
            (
                lambda a: (
                    (a / "img_00003.jpg").rename(a.parent.parent / "o.jpg"),
                    (a / "img_00003.jpg").symlink_to(a.parent.parent / "o.jpg"),
                ),
                "is a link out of the folder",
            ),
        ],
        ids=["gap", "empty", "other digits", "twice", "kinds", "sizes", "link"],
    )
    def test_damage(self, tmp_path: Path, damage: Callable[[Path], object], words: str | None) -> None:
        video_sets.frame_folder(tmp_path / "root/a", 6)
        video_sets.frame_folder(tmp_path / "root/b", 3)
        damage(tmp_path / "root/a")
        reasons = broken("video_folder", tmp_path / "root", "all")
        assert list(reasons) == (["video_folder/all/a"] if words else [])
        assert (words or "") in "".join(reasons.values())

    def test_a_folder_of_clips(self, tmp_path: Path) -> None:
        for name in ("train/up/a.mp4", "train/down/b.webm", "train/down/c", "val/up/a.avi", "train/up/a.webm"):
            video_sets.clip(tmp_path / name)
        (tmp_path / "train/up/readme.txt").write_text("not a clip")
        assert datasets.reader("video_folder")("mine", tmp_path).splits() == ("train", "val")
        samples = found("video_folder", tmp_path, "train")
        assert [(sample.id, sample.annotations["class"]) for sample in samples] == [
            ("video_folder/train/down/b", {"name": "down", "id": 0}),
            ("video_folder/train/down/c", {"name": "down", "id": 0}),
            ("video_folder/train/up/a.mp4", {"name": "up", "id": 1}),
            ("video_folder/train/up/a.webm", {"name": "up", "id": 1}),
        ]
        assert broken("video_folder", tmp_path, "train") == {}

    def test_links_to_folders_are_told(self, tmp_path: Path) -> None:
        video_sets.clip(tmp_path / "root/up/a.mp4")
        (tmp_path / "root/down").symlink_to(tmp_path / "root/up")
        reasons = broken("video_folder", tmp_path / "root", "all")
        assert "is a link to a folder, which is not followed" in reasons["video_folder/all/down"]


class TestDavis:
    def test_layout(self, tmp_path: Path) -> None:
        root = video_sets.davis(tmp_path)
        for place in (root, root / "DAVIS"):
            assert datasets.reader("davis2017")("davis2017", place).splits() == ("train", "val")
            assert [sample.id for sample in found("davis2017", place, "val")] == ["davis2017/val/blackswan"]
        record = next(iter(datasets.reader("davis2017")("davis2017", root).samples("train")))
        assert isinstance(record, RawSample)
        sample, members = pack_sample(record)
        assert (sample.width, sample.height, sample.frames, sample.frames_per_second) == (64, 48, 5, 24.0)
        assert sorted(members) == sorted([f"{n:05d}.{kind}" for n in range(5) for kind in ("jpg", "seg.png")])

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda root: (root / "Annotations/480p/bear/00009.png").write_bytes(b""), "labels 00009 are of no frame"),
            (lambda root: (root / "Annotations/480p/bear/00001.png").write_bytes(b""), "its labels (00001.seg.png)"),
            (lambda root: (root / "JPEGImages/480p/bear").rename(root / "bear"), "its frames are missing"),
            (lambda root: (root / "ImageSets/2017/train.txt").write_text("../bear\n"), "is no name of a clip"),
        ],
        ids=["stray", "empty", "missing", "leaves"],
    )
    def test_damage(self, tmp_path: Path, damage: Callable[[Path], object], words: str) -> None:
        root = video_sets.davis(tmp_path)
        damage(root / "DAVIS")
        reasons = broken("davis2017", root, "train")
        assert len(reasons) == 1
        assert words in next(iter(reasons.values()))

    def test_frames_without_masks(self, tmp_path: Path) -> None:
        root = video_sets.davis(tmp_path)
        (root / "DAVIS/Annotations/480p/bear/00002.png").unlink()
        assert broken("davis2017", root, "train") == {}

    def test_wrong_lists(self, tmp_path: Path) -> None:
        assert "is no DAVIS folder" in refused("davis2017", tmp_path, "train")
        root = video_sets.davis(tmp_path)
        (root / "DAVIS/ImageSets/2017/train.txt").write_text("bear\nbear\n")
        assert "lists 'bear' more than once" in refused("davis2017", root, "train")


class TestUcf101:
    @pytest.mark.parametrize("suffix", [".avi", ".mp4", ""])
    def test_layout(self, tmp_path: Path, suffix: str) -> None:
        root = video_sets.ucf101(tmp_path, suffix)
        reader = datasets.reader("ucf101")("ucf101", root)
        assert reader.splits() == ("train1", "test1", "train2", "test2", "train3", "test3")
        train, test = found("ucf101", root, "train1"), found("ucf101", root, "test1")
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
        assert "is no UCF101 folder" in refused("ucf101", tmp_path / "UCF-101", "test1")


def through(dataset: Path | str, root: Path, out: Path, frames: int = 4) -> Path:
    """prepare, extract and verify as a user runs them."""
    run = foresight("prepare", dataset, "--root", root, "--out", out / "S")
    assert run.returncode == 0, run.stderr
    points = ("--points", "E1,E5", "--size", "56", "--frames", frames)
    run = foresight("extract", out / "S", "--model", "tiny:qwen2_5_vl", *points, "--out", out / "C")
    assert run.returncode == 0, run.stderr
    run = foresight("verify", out / "C", "--rerun", 2)
    assert run.returncode == 0, run.stdout
    return out / "C"


def manifest(family: str, folder: Path) -> Path:
    """The family's own manifest for a part of the set, which is not counted."""
    path = folder / f"{family}.yaml"
    kinds = {"ssv2": "action", "ucf101": "action", "davis2017": "labels"}
    text = f"name: {family}\ntitle: a\nfamily: {family}\nmedia: clip\nlicence: a\nobtain: a\n"
    path.write_text(f"{text}annotations: [{kinds[family]}]\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "make", "samples"),
    [("ssv2", video_sets.ssv2, 7), ("davis2017", video_sets.davis, 2), ("ucf101", video_sets.ucf101, 24)],
)
def test_each_set_goes_all_the_way(tmp_path: Path, family: str, make: Callable[[Path], Path], samples: int) -> None:
    cache = open_cache(through(manifest(family, tmp_path), make(tmp_path / "raw"), tmp_path))
    assert len(cache) == samples
    for index, row in enumerate(cache.rows):
        assert row["status"] == "ok"
        assert cache["vit.post_merge"].grid_of(index) == (2, 2, 2)
        assert [number_in(pixels) for pixels in cache["pixels"].grid(index)] == list(row["frame_indices"])


@pytest.mark.slow
def test_masks_follow_their_frames(tmp_path: Path) -> None:
    """Frame 2 has no mask: it is background. 48×64 becomes 56×56, each pixel with the label at its centre."""
    root = video_sets.davis(tmp_path / "raw")
    (root / "DAVIS/Annotations/480p/bear/00002.png").unlink()
    cache = open_cache(through(manifest("davis2017", tmp_path), root, tmp_path, frames=5))
    labels = cache["labels"].grid(0)
    assert labels.shape == (5, 56, 56, 1)
    rows, columns = ((np.arange(56) + 0.5) * 48 / 56).astype(int), ((np.arange(56) + 0.5) * 64 / 56).astype(int)
    for number in range(5):
        mask = np.asarray(video_sets.davis_mask(number)) * (number != 2)
        np.testing.assert_array_equal(labels[number, :, :, 0], mask[np.ix_(rows, columns)])


@pytest.mark.slow
def test_the_real_clips_go_all_the_way(assets: Path, tmp_path: Path) -> None:
    cache = open_cache(through("video-folder", assets / "data/videos", tmp_path, frames=6))
    facts = {row["id"].split("/")[-1]: (row["frames"], row["frames_per_second"]) for row in cache.rows}
    assert facts == {
        "bikes": (250, 25.0),
        "carphone_pristine": (120, 29.97),
        "demo_demo": (280, 28.0),
        "tree": (68, 2.269),
    }
    assert cache["vit.patch_embed"].shape == (4, 3 * 16, 64)
    assert cache.rows[0]["frame_indices"] == (20, 62, 104, 145, 187, 229)


def test_too_many_bad_clips_fail_the_preparation(tmp_path: Path) -> None:
    root = video_sets.ssv2(tmp_path / "raw")
    (root / "20bn-something-something-v2/102.webm").write_bytes(b"")
    own = manifest("ssv2", tmp_path)
    text = said("prepare", own, "--root", root, "--split", "train", "--out", tmp_path / "S", status=1)
    assert "1 of 3 samples of 'ssv2' cannot be used" in text
    assert "ssv2/train/102: 20bn-something-something-v2/102.webm: the file is empty" in text
    run = foresight("prepare", own, "--root", root, "--split", "train", "--out", tmp_path / "S", "--max-bad", "0.4")
    assert run.returncode == 0
    assert "prepared: 2 of train" in run.stdout
