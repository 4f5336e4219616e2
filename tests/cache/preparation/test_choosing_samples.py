"""What of a set is prepared, what of it is held against its manifest, and what goes on after an interruption."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresight_cache.datasets.synthetic import shapes
from foresight_cache.errors import DatasetError, UsageError
from foresight_cache.preparation.duplicates import shared_media
from foresight_cache.preparation.prepare_dataset import PreparationSummary
from foresight_cache.samples import Sample
from foresight_cache.shards import read_shard
from tests.support.preparing import prepare

MANIFEST = "name: mine\ntitle: a\nfamily: image_folder\nmedia: image\nannotations: [class]\nlicence: a\nobtain: a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve different images: six cats, four dogs, two birds."""
    root = tmp_path / "root"
    names = [f"{kind}/{number}" for kind, count in (("cat", 6), ("dog", 4), ("bird", 2)) for number in range(count)]
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{name}.png")
    return root


def manifest(tmp_path: Path, more: str = "") -> str:
    (tmp_path / "mine.yaml").write_text(MANIFEST + more)
    return str(tmp_path / "mine.yaml")


def samples(summary: PreparationSummary) -> list[Sample]:
    numbers = range(len(summary.shards.shards))
    return [sample for number in numbers for sample, _ in read_shard(summary.shards, number)]


def kinds(summary: PreparationSummary) -> Counter[str]:
    return Counter(sample.annotations["class"]["name"] for sample in samples(summary))


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


class TestSelection:
    def test_sizes_come_from_the_media(self, folder: Path, tmp_path: Path) -> None:
        chosen = samples(prepare("image-folder", root=folder, out=tmp_path / "s"))
        assert {(sample.height, sample.width) for sample in chosen} == {(9, 12)}

    def test_so_many_of_each_class(self, folder: Path, tmp_path: Path) -> None:
        summary = prepare("image-folder", root=folder, out=tmp_path / "s", per_class=3)
        assert kinds(summary) == {"cat": 3, "dog": 3, "bird": 2}
        assert kinds(prepare("image-folder", root=folder, out=tmp_path / "t", per_class=3, limit=4)).total() == 4

    def test_objects_count_as_classes(self, tmp_path: Path) -> None:
        shapes.generate(tmp_path / "raw", count=30, seed=0)
        chosen = samples(prepare("coco", root=tmp_path / "raw", out=tmp_path / "s", per_class=2))
        seen = Counter(
            name for sample in chosen for name in {each["category"] for each in sample.annotations["objects"]}
        )
        assert len(chosen) < 13
        assert len(seen) == 6
        assert min(seen.values()) >= 2

    def test_without_classes_it_is_refused(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--per-class is given, but no sample has a class"):
            prepare("image-folder", root=folder / "cat", out=tmp_path / "s", per_class=1)

    def test_a_random_part_is_that_of_its_seed(self, folder: Path, tmp_path: Path) -> None:
        def some(seed: int, name: str) -> list[str]:
            summary = prepare("image-folder", root=folder, out=tmp_path / name, shuffle_seed=seed, limit=5)
            return [sample.id for sample in samples(summary)]

        assert some(0, "a") == some(0, "b") != some(1, "c")
        assert contents(tmp_path / "a") == contents(tmp_path / "b")
        assert [sample.id for sample in samples(prepare("image-folder", root=folder, out=tmp_path / "d", limit=5))] == [
            *("image-folder/all/bird/0", "image-folder/all/bird/1"),
            *(f"image-folder/all/cat/{number}" for number in range(3)),
        ]

    def test_the_number_of_threads_changes_nothing(self, folder: Path, tmp_path: Path) -> None:
        for workers in (1, 4):
            prepare("image-folder", root=folder, out=tmp_path / f"{workers}", workers=workers, samples_per_shard=5)
        assert contents(tmp_path / "1") == contents(tmp_path / "4")

    def test_memory_that_is_used_again_mixes_nothing_up(self, tmp_path: Path) -> None:
        """Shards that end within what is read at once."""
        (tmp_path / "raw").mkdir()
        for seed in range(700):
            pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "raw" / f"{seed:04d}.png")
        summary = prepare("image-folder", root=tmp_path / "raw", out=tmp_path / "s", samples_per_shard=9, workers=4)
        for number in range(len(summary.shards.shards)):
            for sample, members in read_shard(summary.shards, number):
                assert members["png"] == (tmp_path / "raw" / sample.file_name).read_bytes()

    @pytest.mark.parametrize("option", ["per_class", "workers"])
    def test_numbers_are_positive(self, folder: Path, tmp_path: Path, option: str) -> None:
        wrong: dict[str, Any] = {option: 0}
        with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} is 0, expected 1 or more"):
            prepare("image-folder", root=folder, out=tmp_path / "s", **wrong)


class TestExpectations:
    @pytest.mark.parametrize(
        ("expected", "says"),
        [
            (20, "12 samples here and 20 as published: 8 are missing"),
            (10, "12 samples here and 10 as published: 2 are too"),
        ],
    )
    def test_another_number_is_refused(self, folder: Path, tmp_path: Path, expected: int, says: str) -> None:
        own = manifest(tmp_path, f"splits: [all]\nexpected: {{all: {expected}}}\n")
        with pytest.raises(DatasetError, match=says):
            prepare(own, root=folder, out=tmp_path / "s", max_bad=0.1)
        assert not (tmp_path / "s").exists()
        summary = prepare(own, root=folder, out=tmp_path / "s", max_bad=0.4)
        (count,) = summary.counts
        assert (count.listed, count.missing, count.extra) == (12, max(0, expected - 12), max(0, 12 - expected))
        assert prepare(own, root=folder, out=tmp_path / "p", partial=True).splits == {"all": 12}

    def test_the_whole_set_is_taken_with_a_limit(self, folder: Path, tmp_path: Path) -> None:
        own = manifest(tmp_path, "splits: [all]\nexpected: {all: 12}\n")
        assert prepare(own, root=folder, out=tmp_path / "s", limit=2).splits == {"all": 2}

    def test_of_a_part_what_is_not_there_is_left_out(self, tmp_path: Path) -> None:
        root = tmp_path / "raw"
        shapes.generate(root, count=6, seed=0)
        (root / "train" / "000000000001.png").unlink()
        summary = prepare("coco", root=root, out=tmp_path / "s", partial=True)
        assert (summary.splits, len(summary.absent.ids), summary.shards.quarantined) == ({"train": 5}, 1, ())
        for path in (root / "train").iterdir():
            path.unlink()
        assert prepare("coco", root=root, out=tmp_path / "s", partial=True).already_there

    def test_labels_that_are_not_there_count_as_well(self, tmp_path: Path) -> None:
        root = tmp_path / "ADEChallengeData2016"
        for number, (folder, suffix) in ((1, ("images", "jpg")), (1, ("annotations", "png")), (2, ("images", "jpg"))):
            path = root / folder / "training" / f"ADE_train_{number:08d}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 6)).save(path)
        summary = prepare("ade20k", root=root, out=tmp_path / "s", partial=True)
        assert (summary.splits, len(summary.absent.ids), summary.shards.quarantined) == ({"training": 1}, 1, ())

    def test_files_that_are_not_there_are_told_before_anything_is_packed(self, tmp_path: Path) -> None:
        root = tmp_path / "raw"
        shapes.generate(root, count=40, seed=0)
        (root / "train" / "000000000039.png").unlink()
        done: list[int] = []
        with pytest.raises(DatasetError, match=r"000000000039\.png cannot be read: No such file or directory"):
            prepare("coco", root=root, out=tmp_path / "s", advance=lambda *told: done.append(told[0]))
        assert done == []

    def test_a_published_checksum(self, folder: Path, tmp_path: Path) -> None:
        path = folder / "labels.json"
        path.write_text("{}")
        sound = f"checksums:\n  labels.json: md5:{hashlib.md5(b'{}').hexdigest()}\n  absent.json: md5:{'0' * 32}\n"  # noqa: S324
        assert prepare(manifest(tmp_path, sound), root=folder, out=tmp_path / "a").splits == {"all": 12}
        path.write_text("{ }")
        with pytest.raises(DatasetError, match="labels.json is not the file that was published: its md5 is 67c1"):
            prepare(manifest(tmp_path, sound), root=folder, out=tmp_path / "b")
        assert prepare(manifest(tmp_path, sound), root=folder, out=tmp_path / "c", partial=True).splits == {"all": 12}


class TestDuplicates:
    def test_equal_images_are_one_group(self, folder: Path, tmp_path: Path) -> None:
        (folder / "dog" / "copy.png").write_bytes((folder / "cat" / "1.png").read_bytes())
        (folder / "dog" / "again.png").write_bytes((folder / "cat" / "1.png").read_bytes())
        summary = prepare("image-folder", root=folder, out=tmp_path / "s")
        assert summary.duplicates == 2
        groups = {sample.id.removeprefix("image-folder/all/"): sample.group for sample in samples(summary)}
        assert groups["dog/copy"] == groups["dog/again"] == groups["cat/1"] == "image-folder/all/cat/1"
        assert len(set(groups.values())) == 12
        assert shared_media(summary.shards, summary.shards) == [
            ("image-folder/all/cat/1", "image-folder/all/dog/again"),
            ("image-folder/all/cat/1", "image-folder/all/dog/copy"),
        ]

    def test_equal_size_and_end_alone_are_no_duplicates(self, folder: Path, tmp_path: Path) -> None:
        """BMP files of one size that differ in their first row of pixels, far from the end."""
        for number in range(2):
            pixels = np.zeros((60, 60, 3), np.uint8)
            pixels[-1] = number  # BMP stores rows from below
            Image.fromarray(pixels).save(folder / "dog" / f"z{number}.bmp")
        summary = prepare("image-folder", root=folder, out=tmp_path / "s")
        assert summary.duplicates == 0
        assert len({sample.group for sample in samples(summary)}) == 14

    def test_groups_of_the_manifest_are_joined(self, folder: Path, tmp_path: Path) -> None:
        (folder / "dog" / "copy.png").write_bytes((folder / "cat" / "1.png").read_bytes())
        summary = prepare(manifest(tmp_path, "group: '(cat|dog)/'\n"), root=folder, out=tmp_path / "s")
        groups = {sample.annotations["class"]["name"]: sample.group for sample in samples(summary)}
        assert groups["cat"] == groups["dog"] == "mine/cat"
        assert groups["bird"] != groups["cat"]

    def test_across_sets(self, folder: Path, tmp_path: Path) -> None:
        first = prepare("image-folder", root=folder / "cat", out=tmp_path / "first")
        (folder / "dog" / "copy.png").write_bytes((folder / "cat" / "1.png").read_bytes())
        alone = prepare(manifest(tmp_path), root=folder / "dog", out=tmp_path / "alone")
        assert alone.duplicates == 0
        joined = prepare(manifest(tmp_path), root=folder / "dog", out=tmp_path / "joined", also=[tmp_path / "first"])
        assert joined.duplicates == 1
        groups = {sample.id: sample.group for sample in samples(joined)}
        assert groups["mine/all/copy"] == "image-folder/all/1"
        assert groups["mine/all/1"] == "mine/all/1"
        assert shared_media(first.shards, joined.shards) == [("image-folder/all/1", "mine/all/copy")]


class TestInterruption:
    def request(self, folder: Path, out: Path, **more: Any) -> PreparationSummary:
        return prepare("image-folder", root=folder, out=out, samples_per_shard=2, workers=1, **more)

    def interrupt(self, folder: Path, out: Path, **more: Any) -> dict[str, int]:
        """Stops at the end of the set, and says when each finished shard was written."""
        done = [0]

        def stop(count: int, size: int) -> None:
            done[0] += count
            if done[0] == 12:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.request(folder, out, advance=stop, **more)
        times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
        assert 0 < len(times) < 6
        return times

    def test_it_goes_on_with_the_same_bytes(self, folder: Path, tmp_path: Path) -> None:
        (folder / "cat" / "3.png").write_bytes(b"")
        before = self.interrupt(folder, tmp_path / "s", max_bad=0.2)
        counted: list[int] = []
        expected: list[int] = []
        goes_on = {"advance": lambda *told: counted.append(told[0]), "expect": expected.append}
        self.request(folder, tmp_path / "s", max_bad=0.2, **goes_on)
        self.request(folder, tmp_path / "whole", max_bad=0.2)
        assert contents(tmp_path / "s") == contents(tmp_path / "whole")
        assert {name: (tmp_path / "s" / name).stat().st_mtime_ns for name in before} == before
        assert expected == [sum(counted)]
        assert sum(counted) < 12, "what was finished before is not told again"

    def test_another_request_starts_anew(self, folder: Path, tmp_path: Path) -> None:
        self.interrupt(folder, tmp_path / "s")
        self.request(folder, tmp_path / "s", shuffle_seed=1)
        self.request(folder, tmp_path / "whole", shuffle_seed=1)
        assert contents(tmp_path / "s") == contents(tmp_path / "whole")

    def test_a_shard_that_was_lost_or_noted_wrongly_is_made_again(self, folder: Path, tmp_path: Path) -> None:
        for number, damage in enumerate(("shard-000001.tar", "shard-000001.done")):
            out = tmp_path / f"s{number}"
            self.interrupt(folder, out)
            (out / damage).write_bytes((out / damage).read_bytes()[:-9])
            self.request(folder, out)
            assert json.loads((out / "index.json").read_text())["counts"]["samples"] == 12
        assert contents(tmp_path / "s0") == contents(tmp_path / "s1")

    def test_a_refusal_leaves_nothing_of_it(self, folder: Path, tmp_path: Path) -> None:
        self.interrupt(folder, tmp_path / "s")
        (folder / "dog" / "3.png").write_bytes(b"")
        with pytest.raises(DatasetError, match="the file is empty"):
            self.request(folder, tmp_path / "s")
        assert list((tmp_path / "s").iterdir()) == []
