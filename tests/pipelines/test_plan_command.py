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
from transformers import Qwen2_5_VLConfig

from foresight_cache import open_cache
from foresight_cache.extraction.planning import gpu_rates
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
    words = {name: own for name, own in asked.items() if name != "context"}  # which is the command line as a whole
    assert {name: told[name] for name in words} == words


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


@pytest.fixture(scope="module")
def true_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with the widths that Qwen2.5-VL-7B is published with, without weights."""
    folder = tmp_path_factory.mktemp("model")
    Qwen2_5_VLConfig(
        vision_config={
            **{"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584},
            **{"fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112, "patch_size": 14},
        },
        text_config={
            **{"hidden_size": 3584, "num_hidden_layers": 28, "intermediate_size": 18944, "num_attention_heads": 28},
            **{"num_key_value_heads": 4, "vocab_size": 152064},
        },
    ).save_pretrained(folder)
    return folder


def test_a_cluster_without_a_gpu_here(scenes: Path, true_size: Path, tmp_path: Path) -> None:
    """What is worked by hand: 12 images at E4, in three shards, on three of four A100."""
    words = (scenes, "--model", f"random:{true_size}", "--size", "448", "--points", "E1,E4", "--out", tmp_path / "C")
    cluster = ("--nodes", 2, "--gpus-per-node", 2, "--store-gbps", 0.01, "--gpu-hour", 3)
    told = json.loads(foresight("plan", *words, *cluster, "--json").stdout)
    patches, width = 1024, 1280
    tower = 2 * 1176 * width * patches + 2 * 32 * (4 * width**2 + 3 * width * 3420) * patches
    tower += 28 * 4 * width * patches * 64 + 4 * 4 * width * patches**2
    size = 12 * (2 * patches * width * 2 + 3 * 448 * 448)
    assert [(own["rates"]["gpu"], own["rates"]["share"]) for own in told["gpus"]] == [
        (gpu, share) for gpu in ("A100", "H100", "H200") for share in (0.4, 0.1)
    ]
    own = told["gpus"][0]
    assert own["parts"]["computing"] == pytest.approx(12 / 3 * tower / (312e12 * 0.4), rel=1e-9)
    assert own["parts"]["writing"] == pytest.approx(size / (0.01e9 / 8), rel=1e-3)
    assert own["parts"]["inputs"] == pytest.approx(12 / 3 / 210)
    assert (own["bound_by"], own["useful_gpus"]) == ("loading", 3)
    assert own["gpu_price"] == pytest.approx(4 * own["seconds"] / 3600 * 3)
    assert told["work"]["requests"] == 3 * (3 + 1 + 2)
    text = foresight("plan", *words, *cluster).stdout
    assert "with 4 GPUs on 2 nodes, 0.01 Gb/s into the store, none of which was measured here:" in text
    assert "  1 of 4 GPUs have nothing to do: there are 3 shards" in text
    assert f"{tower / 1e12:.3g} TFLOP per sample without a prompt's words" in text
    assert list(tmp_path.iterdir()) == []


def test_a_plan_says_what_was_not_measured(scenes: Path, tmp_path: Path) -> None:
    """On a processor its own time is measured, and that of GPUs is not."""
    text = foresight("plan", *arguments(scenes, tmp_path / "C")).stdout
    assert "  with one process on one GPU, none of which was measured here:\n" in text
    assert "\n  measured: writing by one process on this machine" in text
    assert "\n  assumed: computing runs at a share of 0.4 or 0.1" in text
    text = foresight("plan", *arguments(scenes, tmp_path / "C", "--no-pilot", "--size", "native")).stdout
    assert text.startswith("<plan from formulas: no model was loaded, and no cache was looked at>\n")
    assert "measured: " not in text
    uncounted = arguments(scenes, tmp_path / "C", "--model", "tiny:qwen3_vl_moe", "--nodes", 2, "--size", "native")
    assert "A100, H100 and H200: not known, operations" in foresight("plan", *uncounted).stdout
    said("plan", *arguments(scenes, tmp_path / "C", "--no-pilot", "--try-batches"), status=2)
    said("plan", *arguments(scenes, tmp_path / "C", "--gpus-per-node", 2), status=2)


def test_a_cluster_of_what_was_measured(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This processor stands for the GPU: times are the pilot's, divided among as many GPUs as there are shards."""
    monkeypatch.setattr(gpu_rates, "gpu_name", lambda _: "Card")
    words = arguments(scenes, tmp_path / "C", "--nodes", 4, "--store-gbps", 8, "--json")
    told = json.loads(foresight("plan", *words).stdout)
    (own,) = told["gpus"]
    assert (own["rates"]["gpu"], own["rates"]["share"], own["useful_gpus"]) == ("Card", None, 3)
    assert 0 < own["rates"]["load_seconds"] < 60
    pilot = told["pilot"]
    assert own["parts"]["computing"] == pytest.approx(12 / 3 * pilot["seconds_per_sample"])
    assert own["parts"]["inputs"] == pytest.approx(12 / 3 * pilot["input_seconds_per_sample"] / 2)
    assert own["parts"]["writing"] == pytest.approx(max(told["bytes_left"] / 1e9, told["write_seconds"] / 3), rel=1e-6)
    assert all("measured: " in origin for origin in told["origins"][:3])
    assert told["work"]["shards"] == 3
    assert "gpus" not in json.loads(foresight("plan", *arguments(scenes, tmp_path / "C", "--json")).stdout)


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
