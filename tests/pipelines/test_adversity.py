"""What disks do to a job: each time one sentence, nothing harmed, and the job goes on once the cause is gone."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import LoadOptions
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.points import resolve
from foresight_cache.shards import open_shards
from tests.support.command import foresight, said, with_options
from tests.support.preparing import prepare


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adversity") / "S"
    prepare("shapes", out=out, limit=12, samples_per_shard=4)
    return out


@pytest.fixture(scope="module")
def whole(scenes: Path) -> Path:
    """What an undisturbed run makes."""
    assert foresight(*command(scenes, scenes.parent / "whole")).returncode == 0
    return scenes.parent / "whole"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a filesystem is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def command(scenes: Path, out: Path, *more: object) -> list[object]:
    usual = ["extract", scenes, "--model", "tiny:qwen2_5_vl", "--size", "112", "--points", "E1,E5", "--out", out]
    return with_options(usual, more)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def extract_while(scenes: Path, out: Path, disturb: object) -> None:
    """Extracts in this process and lets `disturb` act after the first shard."""
    encoder = encoders.load("tiny:qwen2_5_vl", LoadOptions())
    points = resolve(["E1", "E5"], [tap.name for tap in encoder.taps])
    shards_done = []

    def advance(samples: int, size: int) -> None:
        shards_done.append(samples)
        if len(shards_done) == 1:
            disturb()  # type: ignore[operator]

    options = ExtractionOptions(points=points, inputs=InputSpec(size=InputSize.parse("112")))
    extract(open_shards(scenes), encoder, options, out, advance)


def test_a_disk_that_fills_up_during_the_job(scenes: Path, whole: Path, disk: Path) -> None:
    filler = disk / "filler"

    def fill() -> None:
        filler.write_bytes(bytes(shutil.disk_usage(disk).free - 20_000))

    with pytest.raises(OSError, match="No space left"):
        extract_while(scenes, disk / "C", fill)
    assert list(open_cache(disk / "C").samples["slot"]) == [0, 1, 2, 3]
    assert not (disk / "C/samples/.partial").exists()
    filler.unlink()
    assert foresight(*command(scenes, disk / "C")).returncode == 0
    assert contents(disk / "C") == contents(whole)


def test_the_command_says_that_the_disk_is_full(scenes: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from foresight_cache.format import shard_object

    real = shard_object.ShardObjectWriter.finish

    def fill_then_finish(writer: shard_object.ShardObjectWriter) -> str:
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free))
        return real(writer)

    monkeypatch.setattr(shard_object.ShardObjectWriter, "finish", fill_then_finish)
    text = said(*command(scenes, disk / "C"), status=1)
    assert text.startswith("foresight: the disk is full (")
    assert "run the same command again" in text


def test_a_disk_that_may_not_be_written(scenes: Path, whole: Path, disk: Path) -> None:
    shutil.copytree(whole, disk / "C")
    (disk / "C/samples/000001.json").unlink()
    before = contents(disk / "C")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    text = said(*command(scenes, disk / "C"), status=1)
    assert text.startswith("foresight: no permission to write or read ")
    assert contents(disk / "C") == before
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert foresight(*command(scenes, disk / "C")).returncode == 0
    assert contents(disk / "C") == contents(whole)


def test_a_complete_cache_that_may_not_be_written_needs_nothing(scenes: Path, whole: Path, disk: Path) -> None:
    shutil.copytree(whole, disk / "C")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert foresight(*command(scenes, disk / "C")).returncode == 0
    assert foresight("verify", disk / "C").returncode == 0


def test_a_directory_that_vanishes_is_not_made_again(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        extract_while(scenes, tmp_path / "C", lambda: shutil.rmtree(tmp_path / "C"))
    assert not (tmp_path / "C").exists()


@pytest.mark.parametrize("damage", ["truncate", "delete", "forget"])
def test_a_lost_object_or_commit_is_found_and_made_again(
    scenes: Path, whole: Path, tmp_path: Path, damage: str
) -> None:
    shutil.copytree(whole, tmp_path / "C")
    victim = tmp_path / "C/vit.post_merge/c/1/0/0"
    if damage == "truncate":
        victim.write_bytes(victim.read_bytes()[:100])
    elif damage == "delete":
        victim.unlink()
    else:
        (tmp_path / "C/samples/000001.json").unlink()
    run = foresight("verify", tmp_path / "C")
    assert run.returncode == 1
    assert "run" in run.stdout
    assert "'foresight extract' again" in run.stdout
    assert foresight(*command(scenes, tmp_path / "C")).returncode == 0
    assert contents(tmp_path / "C") == contents(whole)


def test_rotten_bytes_are_made_again_as_verify_says(scenes: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "C")
    victim = tmp_path / "C/vit.post_merge/c/1/0/0"
    data = bytearray(victim.read_bytes())
    data[50] ^= 4
    victim.write_bytes(data)
    told = foresight("verify", tmp_path / "C").stdout
    assert f"take it out with 'foresight repair {tmp_path / 'C'}' and run the same 'foresight extract' again" in told
    assert foresight("repair", tmp_path / "C").returncode == 0
    assert foresight(*command(scenes, tmp_path / "C")).returncode == 0
    assert contents(tmp_path / "C") == contents(whole)


def test_a_newer_format_is_left_alone(scenes: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "C")
    root = json.loads((tmp_path / "C/zarr.json").read_text())
    root["attributes"]["foresight"]["format"] = 3
    (tmp_path / "C/zarr.json").write_text(json.dumps(root))
    before = contents(tmp_path / "C")
    for arguments in (command(scenes, tmp_path / "C"), ["inspect", tmp_path / "C"], ["verify", tmp_path / "C"]):
        assert "has cache format 3; this version of foresight-cache reads formats 1 and 2" in said(*arguments, status=1)
    assert contents(tmp_path / "C") == before


def test_the_statistics_show(whole: Path) -> None:
    run = foresight("inspect", whole)
    assert "effective_rank" in run.stdout
    found = json.loads(foresight("inspect", whole, "--json").stdout)["statistics"]
    assert [(row["shard"], row["point"]) for row in found[:2]] == [(0, "vit.patch_embed"), (0, "vit.post_merge")]
