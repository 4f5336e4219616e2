"""Tars that are no files here: the output of programs, and objects of a store (a real server on loopback)."""

import os
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.datasets.manifests import Manifest
from foresight_cache.errors import DatasetError, ManifestError, UsageError
from foresight_cache.shards import read_shard
from tests.support import buckets
from tests.support.command import foresight, said
from tests.support.preparing import contents, ids, prepare, refusal, stopping_after
from tests.support.tar_sets import expected_samples, img2dataset, img2dataset_folder, jpeg, write_members, write_samples


def refused(root: str, out: Path, kind: type[Exception] = DatasetError, **options: Any) -> str:
    said = refusal(kind, **{"dataset": "webdataset", "root": root, "out": out, **options})
    assert not out.exists(), "what is refused leaves nothing"
    return said


class TestPrograms:
    def test_each_of_a_pattern_is_run(self, tmp_path: Path) -> None:
        root = img2dataset_folder(tmp_path / "in")
        summary = prepare("webdataset", root=f"pipe:cat {root}/{{00000..00001}}.tar", out=tmp_path / "s")
        packed = [members["jpg"] for _, members in read_shard(summary.shards, 0)]
        assert packed == [each["jpg"] for each in expected_samples(root)]
        assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["index.json", "shard-000000.tar"]
        assert summary.inventory is not None
        assert (summary.inventory.taken, summary.inventory.files) == (18, 18)

    def test_words_of_a_program_stay_as_they_are(self, tmp_path: Path) -> None:
        write_samples(tmp_path / "0.tar", [img2dataset(0)])
        command = f"pipe:cat {tmp_path}//./0.tar | (cat; true 'https://example.org//a')"
        run = foresight("prepare", "webdataset", "--root", command, "--out", tmp_path / "s")
        assert run.returncode == 0, run.stderr

    def test_compressed_tars(self, tmp_path: Path) -> None:
        path = write_samples(tmp_path / "0.tar", [img2dataset(0)])
        os.system(f"gzip -k {path}")  # noqa: S605 - a path of the test
        told = refused(str(path) + ".gz", tmp_path / "s")
        command = told.rpartition("--root ")[2].strip("'")
        assert prepare("webdataset", root=command, out=tmp_path / "s").splits == {"all": 1}

    def test_a_second_run_runs_nothing(self, tmp_path: Path) -> None:
        path = write_samples(tmp_path / "0.tar", [img2dataset(0)])
        command = f"pipe:echo run >> {tmp_path}/log; cat {path}"
        first = prepare("webdataset", root=command, out=tmp_path / "s")
        second = prepare("webdataset", root=command, out=tmp_path / "s")
        assert second.already_there
        assert second.shards == first.shards
        assert (tmp_path / "log").read_text() == "run\n"
        other = refusal(UsageError, dataset="webdataset", root=f"{command} ", out=tmp_path / "s")
        assert "already holds shards with --root" in other

    def test_an_interrupted_run_goes_on(self, tmp_path: Path) -> None:
        root = img2dataset_folder(tmp_path / "in", tars=3)
        command = f"pipe:cat {root}/0000{{0..2}}.tar"

        with pytest.raises(KeyboardInterrupt):
            prepare("webdataset", root=command, out=tmp_path / "s", samples_per_shard=2, advance=stopping_after(5))
        assert (tmp_path / "s" / "shard-000000.done").exists()
        assert not (tmp_path / "s" / "raw").exists()
        prepare("webdataset", root=command, out=tmp_path / "s", samples_per_shard=2)
        prepare("webdataset", root=command, out=tmp_path / "whole", samples_per_shard=2)
        assert contents(tmp_path / "s") == contents(tmp_path / "whole")

    @pytest.mark.parametrize(
        ("command", "sentence"),
        [
            ("false", "'pipe:false' failed: exit 1; try the program by itself"),
            ("cat {path}; exit 3", " failed: exit 3; try the program by itself"),
            ("no-such-program-anywhere", " failed: exit 127; try the program by itself"),
            ("true", "'pipe:true' wrote nothing, expected a tar"),
            ("echo hello", "000000.tar is not a whole tar"),
            ("head -c 3000 {path}", "000000.tar"),
        ],
    )
    def test_one_that_fails_is_told(self, tmp_path: Path, command: str, sentence: str) -> None:
        path = write_samples(tmp_path / "0.tar", [img2dataset(0)])
        assert sentence in refused(f"pipe:{command.format(path=path)}", tmp_path / "s")

    def test_no_file_name_is_a_program(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "in").mkdir()
        monkeypatch.chdir(tmp_path / "in")
        write_members(Path("pipe:touch run.tar"), ("a.jpg", jpeg(0)))  # the package's own writer would run it
        write_members(Path("pipe:touch run") / "0.tar", ("b.jpg", jpeg(1)))
        for root in (Path(), Path("pipe:touch run"), "./pipe:touch run.tar"):
            prepare("webdataset", root=root, out=tmp_path / f"s{len(str(root))}")
        assert sorted(path.name for path in Path().iterdir()) == ["pipe:touch run", "pipe:touch run.tar"]

    @pytest.mark.parametrize(
        "line",
        ["root: 'pipe:touch run'", "layouts: ['a', 'pipe:touch run']", "checksums: {'pipe:touch run': 'md5:0'}"],
    )
    def test_no_manifest_has_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
        monkeypatch.chdir(tmp_path)
        text = "name: a\ntitle: a\nfamily: webdataset\nmedia: image\nannotations: []\nlicence: a\nobtain: a\n" + line
        with pytest.raises(ManifestError) as caught:
            Manifest.parse(text, "a.yaml")
        assert str(caught.value) == (
            f"a.yaml, line 8: '{line.partition(':')[0]}' has a program, 'pipe:…', which no manifest may run; give it "
            "on the command line, as --root"
        )
        Path("a.yaml").write_text(text)
        said("prepare", "./a.yaml", "--root", tmp_path, "--out", tmp_path / "s", status=1)
        assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]

    @pytest.mark.parametrize("dataset", ["coco", "image-folder", "shapes", "moving-mnist"])
    def test_no_other_dataset_takes_one(self, tmp_path: Path, dataset: str) -> None:
        for address in ("pipe:true", "s3://bucket/a"):
            told = refused(address, tmp_path / "s", UsageError, dataset=dataset)
            assert "for 'webdataset' alone" in told or "is generated and reads no folder" in told


class TestStores:
    def test_tars_of_a_pattern_and_of_a_folder(self, bucket: str, tmp_path: Path) -> None:
        root = img2dataset_folder(tmp_path / "in")
        buckets.put_folder(root, f"{bucket}/tars/plain")
        expected = [f"webdataset/all/{each['__key__']}" for each in expected_samples(root)]
        local = prepare("webdataset", root=root / "{00000..00001}.tar", out=tmp_path / "local")
        for number, name in enumerate(("plain/{00000..00001}.tar", "plain", "plain/")):
            summary = prepare("webdataset", root=f"{bucket}/tars/{name}", out=tmp_path / f"s{number}")
            assert ids(summary) == expected
            assert summary.shards.shards == local.shards.shards, "the same bytes as from the disk"
        one = prepare("webdataset", root=f"{bucket}/tars/plain/00001.tar", out=tmp_path / "one")
        assert ids(one) == expected[3:]
        again = f"{bucket}/tars/plain/00001.tar"
        assert prepare("webdataset", root=again, out=tmp_path / "one").already_there

    def test_splits(self, bucket: str, tmp_path: Path) -> None:
        for number, split in enumerate(("train", "val")):
            write_samples(tmp_path / "in" / split / "0.tar", [img2dataset(number)])
        buckets.put_folder(tmp_path / "in", f"{bucket}/tars/splits")
        for number, name in enumerate(("splits", "splits/{train,val}/0.tar")):
            summary = prepare("webdataset", root=f"{bucket}/tars/{name}", out=tmp_path / f"s{number}")
            assert summary.splits == {"train": 1, "val": 1}

    def test_what_is_missing_or_cut_off(self, bucket: str, tmp_path: Path) -> None:
        whole = write_samples(tmp_path / "0.tar", [img2dataset(0)]).read_bytes()
        buckets.put(f"{bucket}/tars/part/0.tar", whole)
        told = refused(f"{bucket}/tars/part/{{0..4}}.tar", tmp_path / "s")
        assert told == (
            f"4 of the 5 tars that {bucket}/tars/part/{{0..4}}.tar names are missing: 1.tar, 2.tar, 3.tar, …; put them "
            "there, or name those that are"
        )
        buckets.put(f"{bucket}/tars/part/1.tar", whole[: len(whole) // 2])
        assert "1.tar" in refused(f"{bucket}/tars/part", tmp_path / "s")
        assert "holds no .tar" in refused(f"{bucket}/tars/nothing", tmp_path / "s")
        assert "no-such-bucket" in refused("s3://no-such-bucket/a", tmp_path / "s")
