"""`foresight plan` as a user runs it, and the refusal of `extract` that it foretells."""

import inspect
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foresight_cache import open_cache
from pipelines.commands import extract, plan
from tests.support.command import FORESIGHT, foresight, said, with_options


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of four synthetic scenes."""
    out = tmp_path_factory.mktemp("scenes") / "S"
    assert foresight("prepare", "shapes", "--limit", 12, "--samples-per-shard", 4, "--out", out).returncode == 0
    return out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True)
    if made.returncode:
        pytest.skip("no permission to mount a small tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def arguments(shards: Path, out: Path, *more: object) -> list[object]:
    usual = [shards, "--model", "tiny:qwen2_5_vl", "--size", "112", "--points", "E1,E5", "--out", out]
    return with_options(usual, more)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_batches_are_tried_and_the_fastest_is_named(scenes: Path, tmp_path: Path) -> None:
    """What is named is what was measured, and `extract` takes it."""
    out = tmp_path / "C"
    told = json.loads(foresight("plan", *arguments(scenes, out, "--try-batches", "--json")).stdout)
    trials = told["batches"]
    assert [trial["samples"] for trial in trials] == [1, 2, 4, 8, 16, 32, 64][: len(trials)]
    assert all(trial["batch_tokens"] == 64 * trial["samples"] for trial in trials)  # 8 × 8 patches
    assert all(0 < trial["seconds_per_sample"] < 10 for trial in trials)
    assert not out.exists()
    text = foresight("plan", *arguments(scenes, out, "--try-batches")).stdout
    rows = [line.split() for line in text.splitlines() if re.fullmatch(r" +\d+ +\d+ +[\d.e-]+", line)]
    named = text.splitlines()[-1].removeprefix("  fastest here: --batch-tokens ")
    assert min(float(row[2]) for row in rows) in [float(row[2]) for row in rows if row[1] == named]
    assert foresight("extract", *arguments(scenes, out, "--batch-tokens", named)).returncode == 0


def test_a_plan_takes_the_arguments_of_its_extraction() -> None:
    told, asked = (inspect.signature(module.run).parameters for module in (plan, extract))
    assert {name: told[name] for name in asked} == dict(asked)


def test_a_plan_for_a_person(scenes: Path, tmp_path: Path) -> None:
    run = foresight("plan", *arguments(scenes, tmp_path / "C"))
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == f"<plan of {tmp_path / 'C'}>"
    assert lines[1] == "  samples     12 in 3 shards, all are left"
    assert lines[3].endswith(f"free at {tmp_path}: it fits")
    assert lines[6].endswith("with one process on this machine, the slower of the two")
    assert [line.split() for line in lines[8:12]] == [
        ["point", "tokens", "channels", "type", "in", "all", "left"],
        ["vit.patch_embed", "64", "64", "bfloat16", "98.6", "kB", "98.6", "kB"],
        ["vit.post_merge", "16", "128", "bfloat16", "49.4", "kB", "49.4", "kB"],
        ["pixels", "12,544", "3", "uint8", "451.8", "kB", "451.8", "kB"],
    ]
    assert lines[13].split() == ["--codec", "of", "raw", "in", "all", "saved", "compressing", "reading", "once"]
    assert [line.split()[0] for line in lines[14:18]] == ["none", "lz4", "zstd", "small"]
    assert lines[14].split()[1:6] == ["1.00", "599.8", "kB", "0", "B"]
    assert list(tmp_path.iterdir()) == []


def test_what_a_codec_saves_is_what_it_saves(scenes: Path, tmp_path: Path) -> None:
    told = json.loads(foresight("plan", *arguments(scenes, tmp_path / "P", "--json")).stdout)
    codecs = {codec["codec"]: codec for codec in told["codecs"]}
    assert codecs["none"]["ratio"] == 1
    for codec in ("lz4", "zstd", "small"):
        assert foresight("extract", *arguments(scenes, tmp_path / codec, "--codec", codec)).returncode == 0
        size = open_cache(tmp_path / codec).size
        assert size == pytest.approx(codecs[codec]["bytes"], rel=0.1), "from some samples, of all"
        planned = json.loads(foresight("plan", *arguments(scenes, tmp_path / "P", "--codec", codec, "--json")).stdout)
        assert planned["bytes"] == pytest.approx(size, rel=0.1)
        assert {point["codec"] for point in planned["points"]} == {codec}


def test_a_plan_for_a_program(scenes: Path, tmp_path: Path) -> None:
    run = foresight("plan", *arguments(scenes, tmp_path / "C", "--json"))
    record = json.loads(run.stdout)
    assert (record["samples"], record["samples_left"], record["fits"]) == (12, 12, True)
    assert record["seconds"] == max(record["compute_seconds"], record["write_seconds"]) > 0
    assert foresight("extract", *arguments(scenes, tmp_path / "C")).returncode == 0
    assert record["bytes"] == open_cache(tmp_path / "C").size


def test_a_plan_of_an_unfinished_cache(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "C"
    assert foresight("extract", *arguments(scenes, out)).returncode == 0
    before = contents(out)
    text = foresight("plan", *arguments(scenes, out)).stdout
    assert "12 in 3 shards, none is left" in text
    assert "  time        nothing to do\n" in text
    (out / "samples/000001.json").unlink()
    before.pop("samples/000001.json")
    assert "4 of them in 1 shard are left" in foresight("plan", *arguments(scenes, out)).stdout
    assert contents(out) == before
    text = said("plan", *arguments(scenes, out, "--dtype", "float32"), status=1)
    assert "model.dtype is 'bfloat16' in the cache and 'float32' here" in text
    assert contents(out) == before


def test_what_does_not_fit_is_foretold_and_refused(scenes: Path, small_disk: Path) -> None:
    run = foresight("plan", *arguments(scenes, small_disk / "C"))
    assert run.returncode == 1
    assert f"262.1 kB free at {small_disk}: IT DOES NOT FIT, " in run.stdout
    text = said("extract", *arguments(scenes, small_disk / "C"), status=1)
    assert text.startswith(f"foresight: the cache at {small_disk / 'C'} needs ")
    assert text.endswith("there, name another --out or keep fewer --points\n")
    assert len(text.splitlines()) == 1
    assert list(small_disk.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    assert foresight("plan", *arguments(scenes, small_disk / "C")).returncode == 0
    assert foresight("extract", *arguments(scenes, small_disk / "C")).returncode == 0


def test_a_full_disk_still_has_a_plan(scenes: Path, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(2**18))
    run = foresight("plan", *arguments(scenes, small_disk / "C"))
    assert run.returncode == 1
    assert "0 B free" in run.stdout
    assert "  time        unknown: there is no room for a pilot" in run.stdout


def test_native_sizes_of_some_samples(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foresight_cache.extraction.size_estimate.MOST_RECORDS", 8)
    run = foresight("plan", *arguments(scenes, tmp_path / "C", "--size", "native"))
    assert "  sizes       native, known of 8 samples; the others are taken to be like them\n" in run.stdout


@pytest.mark.parametrize("more", [("--size", "450"), ("--points", "vit.blok_02"), ("--batch-tokens", "0")])
def test_wrong_usage(scenes: Path, tmp_path: Path, more: tuple[str, str]) -> None:
    said("plan", *arguments(scenes, tmp_path / "C", *more), status=2)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_tar(scenes: Path, tmp_path: Path) -> None:
    shutil.copytree(scenes, tmp_path / "S")
    tar = tmp_path / "S/shard-000000.tar"
    data = bytearray(tar.read_bytes())
    data[len(data) // 2] ^= 1
    tar.write_bytes(data)
    assert "shard-000000.tar is not what was prepared" in said(
        "plan", *arguments(tmp_path / "S", tmp_path / "C"), status=1
    )
    assert [path.name for path in tmp_path.iterdir()] == ["S"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_plan_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    assert foresight("prepare", "shapes", "--limit", 64, "--out", tmp_path / "S").returncode == 0
    (tmp_path / "caches").mkdir()
    words = arguments(tmp_path / "S", tmp_path / "caches/C", "--size", "448", "--batch-tokens", "16384")
    process = subprocess.Popen([FORESIGHT, "plan", *map(str, words)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "caches").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert "Traceback" not in stderr
    assert list((tmp_path / "caches").iterdir()) == []
