"""Tars of the WebDataset convention as input: compared with what the `webdataset` package's own reader yields."""

import contextlib
import io
import json
import tarfile
from pathlib import Path
from random import Random
from typing import Any

import pytest

from foresight_cache import datasets
from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.preparation.packing import pack_sample
from foresight_cache.shards import read_shard
from tests.support.made_clips import encode, numbered
from tests.support.preparing import contents, ids, prepare, refusal, stopping_after
from tests.support.tar_sets import (
    expected_samples,
    img2dataset,
    img2dataset_folder,
    jpeg,
    write_members,
    write_samples,
)
from tests.support.three_images import picture


def listed(root: Path, split: str = "all", family: str = "webdataset") -> list[Any]:
    return list(datasets.reader(family)("wds", root).samples(split))


def annotations(root: Path, split: str = "all") -> dict[str, Any]:
    """Annotations by key of samples that are all sound."""
    samples = listed(root, split)
    assert all(isinstance(each, RawSample) for each in samples), samples
    return {each.sample.id.removeprefix(f"wds/{split}/"): dict(each.sample.annotations) for each in samples}


def reasons(root: Path) -> dict[str, str]:
    """Reasons of the samples that cannot be used, by key."""
    return {each.id.removeprefix("wds/all/"): each.reason for each in listed(root) if isinstance(each, BrokenSample)}


class TestWhatIsTaken:
    def test_img2dataset(self, tmp_path: Path) -> None:
        root = img2dataset_folder(tmp_path / "in")
        summary = prepare("webdataset", root=root, out=tmp_path / "s")
        expected = expected_samples(root)
        packed = list(read_shard(summary.shards, 0))
        assert ids(summary) == [f"webdataset/all/{each['__key__']}" for each in expected]
        assert [members["jpg"] for _, members in packed] == [each["jpg"] for each in expected]
        assert [sample.annotations for sample, _ in packed] == [
            {"captions": [each["txt"].decode()]} for each in expected
        ]
        assert [(sample.width, sample.height) for sample, _ in packed] == [(48, 36)] * 6
        assert summary.inventory is not None
        assert (summary.inventory.taken, summary.inventory.files) == (18, 22)
        assert {kind: each.count for kind, each in summary.inventory.passed_over.items()} == {"text": 2, "other": 2}

    def test_captions_of_text_and_of_json(self, tmp_path: Path) -> None:
        write_samples(
            tmp_path / "0.tar",
            [
                {"__key__": "a", "jpg": jpeg(0), "txt": " of text \n", "json": {"caption": "of json"}},
                {"__key__": "b", "png": jpeg(1), "json": {"captions": ["one", "two", "one"], "url": "…"}},
                {"__key__": "c", "webp": jpeg(2), "txt": ""},
                {"__key__": "d", "jpeg": jpeg(3), "json": {"caption": None}},
                {"__key__": "e", "jpg": jpeg(4), "json": {"width": 9}},
            ],
        )
        assert annotations(tmp_path) == {
            "a": {"captions": ["of text", "of json"]},
            "b": {"captions": ["one", "two"]},
            "c": {"captions": []},
            "d": {"captions": []},
            "e": {},
        }

    def test_classes_by_number(self, tmp_path: Path) -> None:
        write_samples(tmp_path / "0.tar", ({"__key__": f"{n}", "jpg": jpeg(n), "cls": 10 - n} for n in range(2)))
        assert [each["class"] for each in annotations(tmp_path).values()] == [
            {"name": "10", "id": 10},
            {"name": "9", "id": 9},
        ]
        (tmp_path / "classnames.txt").write_text("\n".join(f"kind {number}" for number in range(11)))
        assert annotations(tmp_path)["0"]["class"] == {"name": "kind 10", "id": 10}
        (tmp_path / "classnames.txt").write_text("\n".join(f"kind {number}" for number in range(10)))
        assert reasons(tmp_path) == {"0": "its cls is 10, and classnames.txt has 10 lines, from 0 on"}

    def test_classes_by_name_have_one_number_in_all_splits(self, tmp_path: Path) -> None:
        for split, names in (("train", ("cup", "dog")), ("Val", ("dog", "ant"))):
            samples = ({"__key__": name, "jpg": jpeg(n), "cls": name.encode()} for n, name in enumerate(names))
            write_samples(tmp_path / split / "0.tar", samples)
        assert datasets.reader("webdataset")("wds", tmp_path).splits() == ("train", "val")
        found = {**annotations(tmp_path, "train"), **annotations(tmp_path, "val")}
        assert {name: each["class"]["id"] for name, each in found.items()} == {"ant": 0, "cup": 1, "dog": 2}

    def test_keys_are_those_of_the_package(self, tmp_path: Path) -> None:
        names = ("0001.jpg", "0001.seg.v2.txt", "a/b/0001.JPG", "my.photo.v2.jpg", "a.b/c.jpg", "A-1.jpg", "A-1.cls")
        content = {"jpg": jpeg(0), "txt": b"seen", "cls": b"1"}
        write_members(tmp_path / "0.tar", *((name, content[name.lower()[-3:]]) for name in names))
        keys = [each["__key__"] for each in expected_samples(tmp_path)]
        assert [each.sample.id for each in listed(tmp_path)] == [f"wds/all/{key}" for key in keys]
        assert keys == ["0001", "a/b/0001", "my", "a.b/c", "A-1"]

    def test_names_that_begin_with_a_dot_and_a_slash(self, tmp_path: Path) -> None:
        write_members(tmp_path / "0.tar", ("./a/1.jpg", jpeg(0)), ("./a/1.txt", b"one"), ("./a/._1.jpg", b"\0"))
        assert annotations(tmp_path) == {"a/1": {"captions": ["one"]}}
        summary = prepare("webdataset", root=tmp_path, out=tmp_path / "s")
        assert summary.inventory is not None
        assert (summary.inventory.taken, summary.inventory.passed_over["hidden"].count) == (2, 1)

    def test_clips(self, tmp_path: Path) -> None:
        clips = [encode([numbered(n) for n in range(count)]) for count in (3, 5)]
        samples = ({"__key__": f"c{n}", "mp4": clip, "txt": f"clip {n}", "cls": n} for n, clip in enumerate(clips))
        root = write_samples(tmp_path / "in" / "0.tar", samples).parent
        summary = prepare("webdataset-clips", root=root, out=tmp_path / "s")
        packed = list(read_shard(summary.shards, 0))
        assert [(sample.frames, sample.annotations["captions"]) for sample, _ in packed] == [
            (3, ["clip 0"]),
            (5, ["clip 1"]),
        ]
        assert [members["mp4"] for _, members in packed] == clips
        assert refusal(DatasetError, dataset="webdataset", root=root, out=tmp_path / "t") == (
            f"{root} holds 2 clips, such as 0.tar/c0.mp4, and no image; prepare it as 'webdataset-clips'"
        )

    def test_a_pattern_names_tars_in_order(self, tmp_path: Path) -> None:
        for number in range(3):
            write_samples(tmp_path / f"s-{number:03d}.tar", [img2dataset(number)])
        whole = prepare("webdataset", root=tmp_path, out=tmp_path / "whole")
        part = prepare("webdataset", root=tmp_path / "s-{001..002}.tar", out=tmp_path / "part")
        one = prepare("webdataset", root=tmp_path / "s-001.tar", out=tmp_path / "one")
        assert (ids(part), ids(one)) == (ids(whole)[1:], ids(whole)[1:2])
        back = prepare("webdataset", root=tmp_path / "s-00{2..0}.tar", out=tmp_path / "back")
        assert ids(back) == ids(whole)[::-1]

    def test_keys_that_tars_share_are_told(self, tmp_path: Path) -> None:
        for tar in ("a/0.tar", "b/0.tar"):
            write_samples(tmp_path / tar, [{"__key__": "0", "jpg": jpeg(ord(tar[0]))}])
        summary = prepare("webdataset", root=tmp_path, out=tmp_path / "s")
        assert ids(summary) == ["webdataset/all/a/0/0", "webdataset/all/b/0/0"]
        assert summary.remarks == (
            "1 keys of split 'all' stand in several tars, such as '0' in a/0.tar and b/0.tar; ids have the tars' names",
        )

    def test_equal_media_are_one_group(self, tmp_path: Path) -> None:
        pictures = (jpeg(0), jpeg(1), jpeg(0))
        for tar, content in enumerate(pictures):
            write_samples(tmp_path / f"{tar}.tar", [{"__key__": f"{tar}", "jpg": content}])
        summary = prepare("webdataset", root=tmp_path, out=tmp_path / "s")
        assert summary.duplicates == 1
        groups = [sample.group for sample, _ in read_shard(summary.shards, 0)]
        assert groups == ["webdataset/all/0", "webdataset/all/1", "webdataset/all/0"]

    def test_a_second_run_and_an_interrupted_one(self, tmp_path: Path) -> None:
        root = img2dataset_folder(tmp_path / "in", tars=3)
        prepare("webdataset", root=root, out=tmp_path / "s", samples_per_shard=2)
        assert prepare("webdataset", root=root, out=tmp_path / "s", samples_per_shard=2).already_there

        with pytest.raises(KeyboardInterrupt):
            prepare("webdataset", root=root, out=tmp_path / "t", samples_per_shard=2, advance=stopping_after(5))
        assert (tmp_path / "t" / "shard-000000.done").exists()
        prepare("webdataset", root=root, out=tmp_path / "t", samples_per_shard=2)
        assert contents(tmp_path / "s") == contents(tmp_path / "t")


class TestWhatIsRefusedByName:
    """A tar that is not whole: Python's reader, and so that of the package, ends there in silence."""

    def test_one_that_is_cut_off_between_members(self, tmp_path: Path) -> None:
        path = write_samples(tmp_path / "0.tar", (img2dataset(number) for number in range(3)))
        with tarfile.open(path) as tar:
            start = tar.getmembers()[6].offset
        path.write_bytes(path.read_bytes()[:start])
        assert len(expected_samples(tmp_path)) == 2, "two of three, and no word"
        with pytest.raises(
            DatasetError, match=r"0\.tar has no end: it is cut off after the member '000000001\.\w+', at"
        ):
            listed(tmp_path)

    @pytest.mark.parametrize("past", [100, 512 + 100, 700])
    def test_one_that_is_cut_off_within_a_member(self, tmp_path: Path, past: int) -> None:
        path = write_samples(tmp_path / "0.tar", (img2dataset(number) for number in range(3)))
        with tarfile.open(path) as tar:
            start = next(member.offset for member in tar if member.name == "000000002.jpg")
        path.write_bytes(path.read_bytes()[: start + past])
        with pytest.raises(DatasetError, match=r"0\.tar (is not a whole tar|has no end).* after the member '00000000"):
            listed(tmp_path)

    def test_one_with_a_damaged_header(self, tmp_path: Path) -> None:
        path = write_samples(tmp_path / "0.tar", (img2dataset(number) for number in range(3)))
        content = bytearray(path.read_bytes())
        with tarfile.open(path) as tar:
            start = tar.getmembers()[4].offset
        content[start + 10] ^= 0xFF
        path.write_bytes(content)
        assert len(expected_samples(tmp_path)) < 3
        with pytest.raises(DatasetError, match=rf"is damaged after the member .*there is no header at byte {start:,}"):
            listed(tmp_path)

    def test_joined_tars(self, tmp_path: Path) -> None:
        parts = [write_samples(tmp_path / f"{n}.tar", [img2dataset(n)]) for n in range(2)]
        joined = b"".join(path.read_bytes() for path in parts)
        parts[1].unlink()
        parts[0].write_bytes(joined)
        with pytest.raises(DatasetError, match="holds more after its end, as tars do that were joined"):
            listed(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"not a tar", b"\0" * 100, b"x" * 5000])
    def test_what_is_no_tar(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "0.tar").write_bytes(content)
        with pytest.raises(DatasetError, match=r"0\.tar (is not a whole tar|has no end|is damaged)"):
            listed(tmp_path)

    def test_a_header_that_claims_more_than_there_is(self, tmp_path: Path) -> None:
        member = tarfile.TarInfo("././@LongLink")
        member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
        (tmp_path / "0.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + b"a" * 2048)
        with pytest.raises(DatasetError, match=r"0\.tar "):
            listed(tmp_path)

    def test_missing_tars_of_a_pattern(self, tmp_path: Path) -> None:
        write_samples(tmp_path / "00001.tar", [img2dataset(0)])
        assert refusal(
            DatasetError, dataset="webdataset", root=tmp_path / "{00000..00005}.tar", out=tmp_path / "s"
        ) == (
            f"5 of the 6 tars that {tmp_path}/{{00000..00005}}.tar names are missing: 00000.tar, 00002.tar, 00003.tar, "
            "…; get them, or name those that are there"
        )
        assert not (tmp_path / "s").exists()

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("none", "there is no folder or tar .*none; expected a folder of tars, one tar, or a pattern"),
            ("{0..1.tar", "the braces in .* do not match"),
            ("{0,0}.tar", "names .*0.tar more than once"),
            ("${HOME}/{0..1}.tar", "has '\\${'"),
        ],
    )
    def test_roots_that_name_nothing(self, tmp_path: Path, name: str, sentence: str) -> None:
        with pytest.raises(DatasetError, match=sentence):
            datasets.reader("webdataset")("wds", tmp_path / name).splits()

    @pytest.mark.parametrize("name", ["0.tar.gz", "b/0.tgz", "0.TAR.XZ"])
    def test_compressed_tars(self, tmp_path: Path, name: str) -> None:
        write_samples(tmp_path / "1.tar", [img2dataset(0)])
        (tmp_path / "b").mkdir()
        (tmp_path / name).write_bytes(b"\x1f\x8b")
        with pytest.raises(DatasetError, match=r"is a compressed tar.*read it through a program: --root 'pipe:gunzip"):
            listed(tmp_path)

    def test_splits_that_are_not_clear(self, tmp_path: Path) -> None:
        write_samples(tmp_path / "training_set" / "0.tar", [img2dataset(0)])
        with pytest.raises(DatasetError, match="holds the folder training_set that may be meant as a split"):
            listed(tmp_path)
        write_samples(tmp_path / "val" / "0.tar", [img2dataset(1)])
        with pytest.raises(DatasetError, match=r"has folders of splits, val, and 1 tars beside them, such as train"):
            listed(tmp_path)

    def test_links_out_of_the_folder(self, tmp_path: Path) -> None:
        write_samples(tmp_path / "elsewhere" / "0.tar", [img2dataset(0)])
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "0.tar").symlink_to(tmp_path / "elsewhere" / "0.tar")
        with pytest.raises(DatasetError, match=r"'0\.tar' is a link out of the folder.*--follow-links"):
            listed(tmp_path / "in")
        (tmp_path / "in" / "0.tar").unlink()
        (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(DatasetError, match=r"in/more is a link to a folder.*--follow-links"):
            listed(tmp_path / "in")
        followed = {"follow_links": (tmp_path / "elsewhere",)}
        assert prepare("webdataset", root=tmp_path / "in", out=tmp_path / "s", **followed).splits == {"all": 1}

    def test_classes_by_number_and_by_name(self, tmp_path: Path) -> None:
        for number, text in enumerate((b"7", b"cup")):
            write_samples(tmp_path / f"{number}.tar", [{"__key__": f"k{number}", "jpg": jpeg(number), "cls": text}])
        with pytest.raises(
            DatasetError, match=r"go by number and by name: 0\.tar/k0\.cls is '7', 1\.tar/k1\.cls is 'cup'"
        ):
            listed(tmp_path)

    def test_a_prepared_set(self, tmp_path: Path) -> None:
        prepare("webdataset", root=write_samples(tmp_path / "0.tar", [img2dataset(0)]), out=tmp_path / "s")
        with pytest.raises(DatasetError, match="is a tar that foresight prepare wrote, which needs no preparing"):
            listed(tmp_path / "s")


class TestBadSamples:
    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ([("a.jpg", jpeg(1)), ("a.jpg", jpeg(2))], "the tar has two members 'a.jpg'; which one"),
            ([("a.jpg", jpeg(1)), ("a.JPG", jpeg(2))], "the tar has two members 'a.JPG'; which one"),
            ([("a.jpg", jpeg(1)), ("a.png", jpeg(2))], "it has several images, jpg, png, so that"),
            ([("a.1.jpg", jpeg(1)), ("a.2.jpg", jpeg(2))], "it has several images, 1.jpg, 2.jpg, so that"),
            ([("a.txt", b"one"), ("a.json", b"{}")], "it has no image; its members are json, txt"),
            ([("a.jpg", jpeg(1)), ("a.json", b"{")], "its json cannot be read: "),
            ([("a.jpg", jpeg(1)), ("a.json", b"[1]")], "its json is [1], expected an object"),
            ([("a.jpg", jpeg(1)), ("a.json", b'{"caption": 3}')], "its json has caption 3, expected a text or"),
            ([("a.jpg", jpeg(1)), ("a.txt", b"\xff\xfe\xfd")], "its txt is not UTF-8 text (byte 0)"),
            ([("a.jpg", jpeg(1)), ("a.txt", b"x" * (1 << 21))], "its txt has 2,097,152 bytes, expected at most"),
            ([("a.jpg", jpeg(1)), ("a.cls", b" \n")], "its cls is empty, expected the number or the name"),
            ([("../a.jpg", jpeg(1))], "its key '../a' is no plain path; rename it"),
        ],
    )
    def test_they_have_a_reason(self, tmp_path: Path, members: list[tuple[str, bytes]], reason: str) -> None:
        write_members(tmp_path / "0.tar", ("0.jpg", jpeg(0)), *members, ("z.jpg", jpeg(9)))
        (found,) = reasons(tmp_path).values()
        assert found.startswith(f"0.tar: {reason}"), found
        assert len(listed(tmp_path)) == 3

    def test_members_that_do_not_stand_together(self, tmp_path: Path) -> None:
        members = [("a.jpg", jpeg(0)), ("b.jpg", jpeg(1)), ("a.txt", b"of a"), ("b.txt", b"of b")]
        write_members(tmp_path / "0.tar", *members, ("c.jpg", jpeg(2)))
        assert len(expected_samples(tmp_path)) == 5, "the package takes them for five samples"
        assert set(reasons(tmp_path)) == {"a", "b"}
        assert "stand in 2 places of the tar" in reasons(tmp_path)["a"]
        said = refusal(DatasetError, dataset="webdataset", root=tmp_path, out=tmp_path / "s")
        assert said.startswith("2 of 3 samples of 'webdataset' cannot be used")

    def test_json_of_another_sample(self, tmp_path: Path) -> None:
        sample = img2dataset(3)
        sample["json"] = json.dumps({**sample["json"], "key": "000000004"}).encode()
        write_samples(tmp_path / "0.tar", [sample])
        assert "its json is of the key '000000004', its members of '000000003'" in reasons(tmp_path)["000000003"]

    def test_a_link_in_the_tar(self, tmp_path: Path) -> None:
        path = write_members(tmp_path / "0.tar", ("a.jpg", jpeg(0)))
        with tarfile.open(path, "a") as tar:
            link = tarfile.TarInfo("b.jpg")
            link.type, link.linkname = tarfile.LNKTYPE, "a.jpg"
            tar.addfile(link)
        assert "its member 'b.jpg' is a link or a sparse file" in reasons(tmp_path)["b"]

    def test_corrupt_media_are_in_quarantine(self, tmp_path: Path) -> None:
        samples = [img2dataset(number) for number in range(4)]
        samples[1]["jpg"], samples[2]["jpg"] = b"", samples[2]["jpg"][:9]
        root = write_samples(tmp_path / "in" / "0.tar", samples).parent
        assert refusal(DatasetError, dataset="webdataset", root=root, out=tmp_path / "s").startswith("2 of 4 samples")
        summary = prepare("webdataset", root=root, out=tmp_path / "s", max_bad=0.5)
        assert ids(summary) == ["webdataset/all/000000000", "webdataset/all/000000003"]
        assert [bad.id for bad in summary.shards.quarantined] == [f"webdataset/all/{n:09d}" for n in (1, 2)]
        assert all("0.tar/00000000" in bad.reason for bad in summary.shards.quarantined)


class TestInventory:
    def test_every_member_is_counted_once(self, tmp_path: Path) -> None:
        root = tmp_path / "in"
        members = [
            *(("a.jpg", jpeg(0)), ("a.txt", b"one"), ("a.pyd", b"cos\nsystem\n(S'touch pickled'\ntR.")),
            *(("a.seg.png", b"labels"), ("a.mp4", b"clip"), ("b.heic", b"picture"), ("b.txt", b"of b")),
            *(("c.txt", b"alone"), ("README", b"text"), (".DS_Store", b""), ("__MACOSX/._a.jpg", b"")),
        ]
        write_members(root / "train" / "0.tar", *members)
        write_members(root / "val" / "0.tar", ("d.jpg", jpeg(1)), ("d.txt", b"two"))
        for name in ("0.parquet", "sizes.json", "left.jpg", ".hidden"):
            (root / name).write_bytes(b"x")
        reader = datasets.reader("webdataset")("wds", root)
        inventory = reader.inventory(reader.samples("train"), ["train"])
        assert {kind: each.count for kind, each in inventory.passed_over.items()} == {
            **{"hidden": 3, "text": 2, "other": 3, "unplaced": 2, "other-media": 1, "undecodable": 1},
            **{"other-splits": 2},
        }
        assert (inventory.taken, inventory.refused) == (2, 1)
        assert inventory.files == len(members) + 2 + 4
        said = refusal(DatasetError, dataset="webdataset", root=root, out=tmp_path / "s", split="train")
        assert "4 of the 17 files below" in said
        assert "--pass-over other-media --pass-over undecodable --pass-over unplaced" in said

    def test_nothing_is_unpickled(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        harm = b"cos\nsystem\n(S'touch pickled'\ntR."
        samples = [("a.jpg", jpeg(0)), *((f"a.{suffix}", harm) for suffix in ("pyd", "pickle", "pkl", "pth"))]
        write_members(tmp_path / "in" / "0.tar", *samples)
        prepare("webdataset", root=tmp_path / "in", out=tmp_path / "s", deep=True)
        assert not (tmp_path / "pickled").exists()


def test_a_member_is_read_where_it_is(tmp_path: Path) -> None:
    """Small and large ones, from memory that is used again, and from a tar that became shorter."""
    content = io.BytesIO()
    picture(0).resize((2400, 2400)).save(content, format="BMP")  # 17 MB, more than an arena holds
    members = [("a.jpg", jpeg(0)), ("b.bmp", content.getvalue()), ("c.jpg", jpeg(1))]
    root = write_members(tmp_path / "in" / "0.tar", *members).parent
    summary = prepare("webdataset", root=root, out=tmp_path / "s")
    packed = [next(iter(files.values())) for _, files in read_shard(summary.shards, 0)]
    assert packed == [content for _, content in members]
    (*_, last) = listed(root)
    whole = (root / "0.tar").read_bytes()
    (root / "0.tar").write_bytes(whole[: last.path.start + 5])
    with pytest.raises(OSError, match="the tar ends before it"):
        last.path.read_bytes()


def test_changed_bytes_are_refused_or_in_quarantine(tmp_path: Path) -> None:
    """A byte changed, bytes cut out or put in anywhere: an error by name or samples that are told, nothing else."""
    path = write_samples(tmp_path / "0.tar", (img2dataset(number) for number in range(3)))
    whole, random = path.read_bytes(), Random(0)  # noqa: S311 - no secret
    refused = 0
    for _ in range(300):
        place, change = random.randrange(len(whole)), random.choice(("flip", "cut", "insert"))
        rest = place + random.choice((1, 100, 512)) if change == "cut" else place + (change == "flip")
        put = b"" if change == "cut" else random.randbytes(random.choice((1, 512)) if change == "insert" else 1)
        path.write_bytes(whole[:place] + put + whole[rest:])
        reader = datasets.reader("webdataset")("wds", tmp_path)
        try:
            found = list(reader.samples("all"))
        except DatasetError as error:
            refused += "0.tar" in str(error)
            continue
        inventory = reader.inventory(found, ["all"])
        with tarfile.open(path) as tar:
            assert inventory.files == len(tar.getmembers())
        for each in found:
            with contextlib.suppress(BadSample):
                if isinstance(each, RawSample):
                    pack_sample(each, deep=True)
    assert 30 < refused < 270, "the changes are of both kinds"
