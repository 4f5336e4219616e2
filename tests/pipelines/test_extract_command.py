"""prepare, extract, verify and inspect as a user runs them, on real photographs in COCO's layout."""

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import zarr
from PIL import Image

from foresight_cache import open_cache
from tests.support.command import FORESIGHT, foresight, said, with_options

POINTS = "E1,E2,E3,E4,E5,E6,E7,E8"


@pytest.fixture(scope="module")
def coco(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of the four photographs."""
    out = tmp_path_factory.mktemp("coco") / "S"
    assert foresight("prepare", "coco", "--root", assets / "data/coco", "--out", out).returncode == 0
    return out


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of four synthetic scenes."""
    out = tmp_path_factory.mktemp("scenes") / "S"
    assert foresight("prepare", "shapes", "--limit", 12, "--samples-per-shard", 4, "--out", out).returncode == 0
    return out


@pytest.fixture(scope="module")
def cache(coco: Path) -> Path:
    out = coco.parent / "C"
    run = foresight("extract", coco, "--model", "tiny:qwen2_5_vl", "--points", POINTS, "--out", out)
    assert run.returncode == 0, run.stderr
    return out


def extract(shards: Path, out: Path | str, *more: object) -> list[object]:
    usual = ["extract", shards, "--model", "tiny:qwen2_5_vl", "--size", "112", "--points", "E1,E5", "--out", out]
    return with_options(usual, more)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_coco_goes_all_the_way(cache: Path) -> None:
    run = foresight("verify", cache)
    assert run.returncode == 0
    assert run.stdout == f"{cache}: no findings\n"
    opened = open_cache(cache)
    assert opened.points == (
        *("vit.patch_embed", "vit.block_02", "vit.block_04", "vit.pre_merge", "vit.post_merge"),
        *("llm.layer_01", "llm.layer_02", "llm.layer_04", "pixels"),
    )
    assert opened["vit.pre_merge"][0].shape == (1024, 64)
    assert opened["llm.layer_04"].grid(3).shape == (1, 16, 16, 128)
    assert opened.samples["id"][0] == "coco/val2017/000000000785"


def test_the_cache_opens_without_us(cache: Path) -> None:
    array = zarr.open_array(cache / "vit.pre_merge", mode="r")
    np.testing.assert_array_equal(
        array[2].view(ml_dtypes.bfloat16).astype(np.float32), open_cache(cache)["vit.pre_merge"][2]
    )


def test_pixels_and_boxes_travel_in_the_cache(cache: Path, assets: Path) -> None:
    opened = open_cache(cache)
    published = json.loads((assets / "data/coco/annotations/instances_val2017.json").read_text())
    names = {image["id"]: image["file_name"] for image in published["images"]}
    for index, row in opened.samples.iterrows():
        boxes = [a["bbox"] for a in published["annotations"] if names[a["image_id"]] == Path(row["file_name"]).name]
        found = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in (o["box"] for o in row["annotations"]["objects"])]
        np.testing.assert_allclose(sorted(found), sorted(boxes), atol=1e-6)
        image = Image.open(assets / "data/coco" / row["file_name"]).convert("RGB")
        resized = np.asarray(image.resize((448, 448), Image.Resampling.BICUBIC), np.float32)
        assert np.abs(opened["pixels"].grid(index)[0] - resized).mean() < 1


def test_a_second_run_changes_nothing(scenes: Path, tmp_path: Path) -> None:
    assert foresight(*extract(scenes, tmp_path / "C")).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "C").rglob("*")}
    assert foresight(*extract(scenes, tmp_path / "C")).returncode == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "C").rglob("*")}


def test_a_killed_run_goes_on_to_the_same_bytes(scenes: Path, tmp_path: Path) -> None:
    assert foresight(*extract(scenes, tmp_path / "whole", "--batch-tokens", 64)).returncode == 0
    process = subprocess.Popen([FORESIGHT, *map(str, extract(scenes, tmp_path / "C", "--batch-tokens", 64))])
    deadline = time.monotonic() + 60
    while not (tmp_path / "C/samples/000000.json").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert open_cache(tmp_path / "C").samples["status"].eq("ok").all()
    assert foresight(*extract(scenes, tmp_path / "C", "--batch-tokens", 64)).returncode == 0
    assert contents(tmp_path / "C") == contents(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_an_interrupted_run_can_be_resumed(tmp_path: Path, number: signal.Signals) -> None:
    assert foresight("prepare", "shapes", "--limit", 256, "--out", tmp_path / "S").returncode == 0
    arguments = extract(tmp_path / "S", tmp_path / "C", "--size", "448")
    process = subprocess.Popen([FORESIGHT, *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "C/samples/.partial").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert stderr.splitlines()[-1].startswith("foresight: interrupted; what is finished is kept")
    says = re.search(r"has finished no shard in \d+ s: if its time always ends so, it needs more", stderr)
    assert bool(says) == (len(open_cache(tmp_path / "C").commits) == 0)
    assert "Traceback" not in stderr
    assert not list((tmp_path / "C").rglob(".partial"))


def test_points_added_later_give_the_cache_of_one_run(scenes: Path, tmp_path: Path) -> None:
    few, all_points = extract(scenes, tmp_path / "C"), extract(scenes, tmp_path / "W")
    all_points[all_points.index("E1,E5")] = "vit.*"
    assert foresight(*few).returncode == 0
    assert foresight(*[tmp_path / "C" if a == tmp_path / "W" else a for a in all_points]).returncode == 0
    assert foresight(*all_points).returncode == 0
    assert contents(tmp_path / "C") == contents(tmp_path / "W")


def test_native_sizes_keep_the_aspect_ratio(coco: Path, tmp_path: Path) -> None:
    run = foresight(
        *("extract", coco, "--model", "tiny:qwen2_5_vl", "--points", "E5", "--size", "native"), "--out", tmp_path / "C"
    )
    assert run.returncode == 0, run.stderr
    opened = open_cache(tmp_path / "C")
    for index, row in opened.samples.iterrows():
        grid = opened["vit.post_merge"].grid_of(index)
        assert abs(grid.h * 28 - row["height"]) <= 14
        assert abs(grid.w * 28 - row["width"]) <= 14
    assert foresight("verify", tmp_path / "C").returncode == 0


class TestBadInput:
    def test_unknown_model(self, scenes: Path, tmp_path: Path) -> None:
        text = said(*extract(scenes, tmp_path / "C", "--model", "tiny:qwen25vl"), status=2)
        assert text.startswith("foresight: unknown model family 'qwen25vl'; did you mean 'qwen2_5_vl' or 'qwen2_vl'")
        assert text.endswith(
            "Known: clip, dinov2, dinov2_with_registers, dinov3_vit, gemma3, internvl, llava, llava_next, "
            "llava_next_video, llava_onevision, ltx_vae, molmo2, owlvit, paligemma, qwen2_5_vl, qwen2_vl, qwen3_vl, "
            "qwen3_vl_moe, siglip, siglip2, smolvlm, yolos\n"
        )
        assert not (tmp_path / "C").exists()

    def test_unknown_point(self, scenes: Path, tmp_path: Path) -> None:
        text = said(*extract(scenes, tmp_path / "C", "--points", "vit.blok_02"), status=2)
        assert "unknown extraction point 'vit.blok_02'; did you mean 'vit.block_02'" in text

    @pytest.mark.parametrize(
        ("size", "words"),
        [("450", "multiples of 28 pixels"), ("big", "is not understood"), ("0x28", "is not understood")],
    )
    def test_impossible_size(self, scenes: Path, tmp_path: Path, size: str, words: str) -> None:
        assert words in said(*extract(scenes, tmp_path / "C", "--size", size), status=2)
        assert not (tmp_path / "C").exists()

    def test_no_shards(self, tmp_path: Path) -> None:
        assert str(tmp_path) in said(*extract(tmp_path, tmp_path / "C"), status=1)

    def test_a_damaged_tar(self, scenes: Path, tmp_path: Path) -> None:
        shutil.copytree(scenes, tmp_path / "S")
        tar = tmp_path / "S/shard-000001.tar"
        data = bytearray(tar.read_bytes())
        data[len(data) // 2] ^= 1
        tar.write_bytes(data)
        assert "shard-000001.tar" in said(*extract(tmp_path / "S", tmp_path / "C"), status=1)
        assert list(open_cache(tmp_path / "C").samples["slot"]) == [0, 1, 2, 3], "what was whole is kept"
        shutil.copy(scenes / "shard-000001.tar", tar)
        assert foresight(*extract(tmp_path / "S", tmp_path / "C")).returncode == 0
        assert foresight("verify", tmp_path / "C").returncode == 0

    def test_other_settings_than_the_caches(self, scenes: Path, tmp_path: Path) -> None:
        assert foresight(*extract(scenes, tmp_path / "C")).returncode == 0
        before = contents(tmp_path / "C")
        text = said(*extract(scenes, tmp_path / "C", "--dtype", "float32"), status=1)
        assert "model.dtype is 'bfloat16' in the cache and 'float32' here" in text
        assert contents(tmp_path / "C") == before

    def test_a_foreign_folder(self, scenes: Path, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos/a.txt").write_text("mine")
        assert "holds files that are not a cache" in said(*extract(scenes, tmp_path / "photos"), status=1)
        assert contents(tmp_path / "photos") == {"a.txt": b"mine"}

    def test_places_that_no_cache_can_be_written_to(self, scenes: Path, tmp_path: Path) -> None:
        for name, words, status in (
            ("C.zip", "is a zip file, which can be read but not written", 2),
            ("C", "is a file", 1),
        ):
            (tmp_path / name).write_bytes(b"")
            assert words in said(*extract(scenes, tmp_path / name), status=status)
            assert (tmp_path / name).read_bytes() == b""
        assert "can be read but not written" in said(*extract(scenes, "https://host/C"), status=2)

    def test_a_missing_device(self, scenes: Path, tmp_path: Path) -> None:
        assert "cuda:7" in said(*extract(scenes, tmp_path / "C", "--device", "cuda:7"), status=2)

    def test_verify_finds_damage(self, scenes: Path, tmp_path: Path) -> None:
        assert foresight(*extract(scenes, tmp_path / "C")).returncode == 0
        path = tmp_path / "C/pixels/c/2/0/0"
        path.write_bytes(path.read_bytes()[:-1])
        run = foresight("verify", tmp_path / "C")
        assert run.returncode == 1
        assert "pixels/c/2/0/0: the object has" in run.stdout
        assert "1 finding\n" in run.stdout

    @pytest.mark.parametrize("command", ["inspect", "verify"])
    def test_no_cache(self, tmp_path: Path, command: str) -> None:
        assert "holds no cache" in said(command, tmp_path, status=1)
        assert "holds no cache" in said(command, tmp_path / "absent", status=1)

    def test_a_missing_argument(self) -> None:
        run = foresight("extract")
        assert run.returncode == 2
        assert "Missing" in run.stderr


def test_a_sample_that_cannot_be_decoded_is_quarantined(scenes: Path, tmp_path: Path) -> None:
    """Its header is sound, so that only decoding finds it out."""
    raw = tmp_path / "raw"
    (raw / "annotations").mkdir(parents=True)
    (raw / "train").mkdir()
    generator = np.random.default_rng(0)
    images = []
    for number in range(4):
        noise = Image.fromarray(generator.integers(0, 256, (120, 160, 3), dtype=np.uint8))
        noise.save(raw / f"train/{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 160, "height": 120})
    record = {"images": images, "annotations": [], "categories": []}
    (raw / "annotations/instances_train.json").write_text(json.dumps(record))
    damaged = raw / "train/2.png"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    damaged.write_bytes(data)
    assert foresight("prepare", "coco", "--root", raw, "--out", tmp_path / "S").returncode == 0
    text = said(*extract(tmp_path / "S", tmp_path / "C"), status=1)
    assert "1 of 4 samples" in text
    assert "accept them with --max-bad 0.25" in text
    assert foresight(*extract(tmp_path / "S", tmp_path / "C", "--max-bad", "0.25")).returncode == 0
    run = foresight("inspect", tmp_path / "C", "--bad")
    assert run.stdout.startswith("coco/train/2: ")
    assert json.loads(foresight("inspect", tmp_path / "C", "--json").stdout)["bad"].keys() == {"coco/train/2"}
    assert foresight("verify", tmp_path / "C").returncode == 0
