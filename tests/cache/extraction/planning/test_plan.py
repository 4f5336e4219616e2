"""What a plan says against what an extraction then writes, counted with os.stat."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import CacheError, FingerprintMismatch
from foresight_cache.extraction import size_estimate
from foresight_cache.extraction.cache_plan import CachePlan
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.extraction.options import Execution, ExtractionOptions
from foresight_cache.extraction.planning import pilot
from foresight_cache.extraction.planning.extraction_plan import plan_extraction
from foresight_cache.format.shard_object import ShardObjectWriter
from foresight_cache.format.stores import LocalStore
from foresight_cache.points import PIXELS, resolve
from foresight_cache.runtime.progress import format_bytes
from foresight_cache.shards import ShardSet, open_shards
from tests.support.preparing import prepare

POINTS = ("E1", "E5", "E8")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return encoders.load("tiny:qwen2_5_vl", LoadOptions())


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Ten scenes in shards of four, four and two."""
    folder = tmp_path_factory.mktemp("planning")
    prepare("shapes", out=folder / "S", limit=10, samples_per_shard=4)
    return open_shards(folder / "S")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Forty images of many sizes in shards of five, without annotations."""
    raw = tmp_path_factory.mktemp("photos")
    (raw / "annotations").mkdir()
    (raw / "train").mkdir()
    generator = np.random.default_rng(0)
    images = []
    for number in range(40):
        height, width = (int(side) for side in generator.integers(60, 200, 2))
        noise = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(raw / f"train/{number}.png")
        images.append(f'{{"id":{number},"file_name":"{number}.png","width":{width},"height":{height}}}')
    record = f'{{"images":[{",".join(images)}],"annotations":[],"categories":[]}}'
    (raw / "annotations/instances_train.json").write_text(record)
    prepare("coco", root=raw, out=raw / "S", samples_per_shard=5)
    return open_shards(raw / "S")


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


def options(encoder: Encoder, *points: str, size: str = "112") -> ExtractionOptions:
    found = resolve(points or POINTS, [tap.name for tap in encoder.taps])
    return ExtractionOptions(
        points=found, inputs=InputSpec(size=InputSize.parse(size)), execution=Execution(batch_tokens=256)
    )


def predicted(shards: ShardSet, encoder: Encoder, wanted: ExtractionOptions, out: Path) -> size_estimate.SpaceNeeded:
    plan = CachePlan(shards, encoder, wanted, out)
    return plan.space_needed(plan.object_sizes, block=4096)


def sizes_on_disk(out: Path) -> dict[str, int]:
    """Bytes of all objects of each point."""
    found: dict[str, int] = {}
    for path in out.glob("*/c/*/0/0"):
        point = path.relative_to(out).parts[0]
        found[point] = found.get(point, 0) + os.stat(path).st_size  # noqa: PTH116 - what the system says
    return found


def other_bytes(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*.json"))


def test_objects_of_one_size_are_exact(shards: ShardSet, encoder: Encoder, tmp_path: Path) -> None:
    wanted = options(encoder)
    need = predicted(shards, encoder, wanted, tmp_path / "C")
    assert not (tmp_path / "C").exists()
    extract(shards, encoder, wanted, tmp_path / "C")
    assert need.objects == sizes_on_disk(tmp_path / "C")
    assert need.records == pytest.approx(other_bytes(tmp_path / "C"), rel=0.5)
    assert need.bytes <= need.on_disk


def test_native_sizes_of_all_records_are_exact(photos: ShardSet, encoder: Encoder, tmp_path: Path) -> None:
    wanted = options(encoder, size="native")
    need = predicted(photos, encoder, wanted, tmp_path / "C")
    extract(photos, encoder, wanted, tmp_path / "C")
    assert len({row["grid_pixel"] for row in open_cache(tmp_path / "C").rows}) > 10
    assert need.objects == sizes_on_disk(tmp_path / "C")


def test_native_sizes_of_half_the_records_are_close(
    photos: ShardSet, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = options(encoder, size="native")
    monkeypatch.setattr(size_estimate, "MOST_RECORDS", 20)
    assert list(size_estimate.survey(photos, Inputs(encoder, wanted.inputs, "image")).sizes) == [0, 2, 5, 7]
    need = predicted(photos, encoder, wanted, tmp_path / "C")
    monkeypatch.setattr(size_estimate, "MOST_RECORDS", 8192)
    exact = predicted(photos, encoder, wanted, tmp_path / "C")
    assert need.objects != exact.objects
    assert need.bytes == pytest.approx(exact.bytes, rel=0.05)


def test_what_is_there_is_not_needed_again(shards: ShardSet, encoder: Encoder, tmp_path: Path) -> None:
    extract(shards, encoder, options(encoder, "E1"), tmp_path / "C")
    assert predicted(shards, encoder, options(encoder, "E1"), tmp_path / "C").objects == {
        "vit.patch_embed": 0,
        "pixels": 0,
    }
    (tmp_path / "C/samples/000001.json").unlink()
    need = predicted(shards, encoder, options(encoder, "E1", "E5"), tmp_path / "C")
    before = sizes_on_disk(tmp_path / "C")
    assert need.objects["pixels"] == (tmp_path / "C/pixels/c/1/0/0").stat().st_size < before["pixels"]
    extract(shards, encoder, options(encoder, "E1", "E5"), tmp_path / "C")
    assert need.objects["vit.post_merge"] == sizes_on_disk(tmp_path / "C")["vit.post_merge"]


def test_a_disk_without_room_is_refused_and_filled_once_there_is_room(
    shards: ShardSet, encoder: Encoder, small_disk: Path
) -> None:
    out = small_disk / "caches/C"
    with pytest.raises(CacheError) as caught:
        extract(shards, encoder, options(encoder), out)
    need = predicted(shards, encoder, options(encoder), out)
    assert str(caught.value) == (
        f"the cache at {out} needs {format_bytes(need.on_disk)} more and the disk of {small_disk} has "
        f"262.1 kB free; free {format_bytes(need.on_disk - 2**18)} there, "
        "name another --out or keep fewer --points"
    )
    assert list(small_disk.iterdir()) == [], "nothing of a cache is left"
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    extract(shards, encoder, options(encoder), out)
    assert open_cache(out).complete
    extract(shards, encoder, options(encoder), out)


def test_a_cache_that_has_most_of_it_needs_room_for_the_rest_only(
    shards: ShardSet, encoder: Encoder, small_disk: Path
) -> None:
    need = predicted(shards, encoder, options(encoder), small_disk / "C")
    subprocess.run(["mount", "-o", f"remount,size={need.on_disk}", str(small_disk)], check=True)
    extract(shards, encoder, options(encoder), small_disk / "C")
    for path in [*small_disk.glob("C/*/c/2/0/0"), small_disk / "C/samples/000002.json"]:
        path.unlink()
    last = predicted(shards, encoder, options(encoder), small_disk / "C")
    filler = small_disk / "filler"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    filler.write_bytes(bytes(free - last.on_disk + 4096))
    before = sizes_on_disk(small_disk / "C")
    with pytest.raises(CacheError, match=r"free 4\.1 kB there"):
        extract(shards, encoder, options(encoder), small_disk / "C")
    assert sizes_on_disk(small_disk / "C") == before
    filler.unlink()
    extract(shards, encoder, options(encoder), small_disk / "C")
    assert open_cache(small_disk / "C").complete


def test_shards_under_way_are_not_counted_twice(small_disk: Path) -> None:
    """They are part of what is needed, so that a second worker may start on a disk that is just large enough."""
    partial = small_disk / "C/samples/.partial/000000"
    partial.mkdir(parents=True)
    before = LocalStore(small_disk / "C").room().free
    (partial / "pixels").write_bytes(os.urandom(200_000))
    assert LocalStore(small_disk / "C").room().free == before
    (partial / "pixels").rename(small_disk / "pixels")
    assert before is not None
    assert LocalStore(small_disk / "C").room().free == before - 200_704, "in whole blocks of 4,096 bytes"


@pytest.mark.parametrize("damage", ["cut", "size", "name", "record"])
def test_a_damaged_tar_is_passed_over(photos: ShardSet, encoder: Encoder, tmp_path: Path, damage: str) -> None:
    """The extraction will say what is wrong with it; here it must not stop or mislead."""
    from shutil import copytree

    copytree(photos.path, tmp_path / "S")
    tar = tmp_path / "S" / photos.shards[1].name
    data = bytearray(tar.read_bytes())
    if damage == "cut":
        data = data[:700]
    elif damage == "size":
        data[124:136] = b"77777777777\0"
    elif damage == "name":
        data[:10] = b"../../evil"
    else:
        start = data.index(b'{"annotations"')
        data[start : start + 4] = b"oops"
    tar.write_bytes(data)
    found = size_estimate.survey(
        replace(photos, path=tmp_path / "S"), Inputs(encoder, options(encoder, size="native").inputs, "image")
    )
    assert sorted(found.sizes) == [0, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("size", ["112", "native"])
def test_a_plan_is_what_is_then_written(photos: ShardSet, encoder: Encoder, tmp_path: Path, size: str) -> None:
    wanted = options(encoder, size=size)
    planned = plan_extraction(photos, encoder, wanted, tmp_path / "C")
    assert list(tmp_path.iterdir()) == [], "nothing is left of the pilot"
    assert planned.fits
    assert not planned.exists
    assert planned.pilot is not None
    assert set(planned.pilot.codec_ratios.values()) == {1.0}
    assert planned.pilot.batches >= 3
    extract(photos, encoder, wanted, tmp_path / "C")
    written = sizes_on_disk(tmp_path / "C")
    assert {point.name: point.bytes for point in planned.points} == written
    assert planned.bytes == sum(written.values())
    rows = open_cache(tmp_path / "C").rows
    means = {point.name: point.tokens for point in planned.points}
    assert means["vit.post_merge"] == sum(row["grid_merged"].tokens for row in rows) / 40
    assert means[PIXELS] == sum(row["grid_pixel"].tokens for row in rows) / 40


def state(root: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (root, *root.rglob("*"))}


def test_a_cache_is_only_read(shards: ShardSet, encoder: Encoder, tmp_path: Path) -> None:
    out = tmp_path / "C"
    extract(shards, encoder, options(encoder, "E1"), out)
    before = state(out)
    done = plan_extraction(shards, encoder, options(encoder, "E1"), out)
    assert (done.samples_left, done.shards_left, done.bytes_left, done.on_disk_left) == (0, 0, 0, 0)
    assert (done.pilot, done.seconds, done.fits) == (None, 0.0, True)
    more = plan_extraction(shards, encoder, options(encoder, "E1", "E5"), out)
    assert more.exists
    assert [point.bytes_left > 0 for point in more.points] == [False, True, False]
    assert more.pilot is not None
    assert set(more.pilot.codec_ratios) == {"vit.post_merge", PIXELS}, "what is there is not computed again"
    with pytest.raises(FingerprintMismatch, match=r"input\.size is '112x112' in the cache and '56x56' here"):
        plan_extraction(shards, encoder, options(encoder, size="56"), out)
    assert state(out) == before
    assert list(tmp_path.iterdir()) == [out]


def test_what_the_codec_really_writes_counts(
    shards: ShardSet, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = plan_extraction(shards, encoder, options(encoder), tmp_path / "C")
    add = ShardObjectWriter.add

    def wasteful(self: ShardObjectWriter, position: int, values: np.ndarray) -> None:
        add(self, position, values)
        self._write(bytes(values.nbytes))

    monkeypatch.setattr(ShardObjectWriter, "add", wasteful)
    assert plan_extraction(shards, encoder, options(encoder), tmp_path / "C").bytes == pytest.approx(
        2 * honest.bytes, rel=0.01
    )


class SlowEncoder:
    """The tiny model, with a clock by which its first pass takes 5 s and each other one 0.25 s per sample."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.now, self.passes = encoder, 0.0, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.encoder, name)

    def forward(self, inputs: dict[str, object], taps: list[str]) -> object:
        features = self.encoder.forward(inputs, taps)  # type: ignore[arg-type]
        self.now += 0.25 * len(features[taps[0]]) if self.passes else 5.0
        self.passes += 1
        return features

    def perf_counter(self) -> float:
        self.now += 1e-4
        return self.now


@pytest.mark.parametrize("batch_tokens", [64, 10_000])
def test_time_is_the_median_without_the_warm_up(
    shards: ShardSet, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_tokens: int
) -> None:
    """One sample per pass, or all of the shard in one that is repeated."""
    slow = SlowEncoder(encoder)
    monkeypatch.setattr(pilot, "time", slow)
    monkeypatch.setattr(pilot, "MOST_BYTES", 4_000_000)
    planned = plan_extraction(
        shards, slow, replace(options(encoder), execution=Execution(batch_tokens=batch_tokens)), tmp_path / "C"
    )  # type: ignore[arg-type]
    assert planned.pilot is not None
    assert (slow.passes, planned.pilot.batches) == (4, 3)
    assert planned.pilot.seconds_per_sample == pytest.approx(0.25, rel=0.01)
    assert planned.seconds == planned.compute_seconds == pytest.approx(2.5, rel=0.01)


def test_a_disk_that_is_slower_than_the_model_decides(
    shards: ShardSet, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilot, "_write_speed", lambda *_: 100.0)
    planned = plan_extraction(shards, encoder, options(encoder), tmp_path / "C")
    assert planned.seconds == planned.write_seconds == planned.bytes_left / 100


def test_the_pilot_is_bounded(
    shards: ShardSet, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample takes 62 kB: 8 + 4 + 4 kB of tokens and 37.6 kB of pixels, so that two fit into 120 kB."""
    monkeypatch.setattr(pilot, "MOST_BYTES", 120_000)
    planned = plan_extraction(shards, encoder, options(encoder), tmp_path / "C")
    assert planned.pilot is not None
    assert planned.pilot.samples == 2


def test_the_measurement_of_the_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    finish = ShardObjectWriter.finish
    monkeypatch.setattr(ShardObjectWriter, "finish", lambda self: (written.append(self.size), finish(self))[1])
    assert pilot._write_speed(tmp_path / "object", 100_000_000) > 0
    assert 100_000_000 < sum(written) < 130_000_000
    written.clear()
    monkeypatch.setattr(pilot, "MOST_SECONDS", 0.0)
    assert pilot._write_speed(tmp_path / "object", 100_000_000) > 0
    assert len(written) == 1
    assert pilot._write_speed(tmp_path / "object", 5) > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_pilot_leaves_nothing(
    shards: ShardSet, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def stop(*_: object) -> None:
        assert list(tmp_path.iterdir()), "the pilot is under way"
        raise error

    monkeypatch.setattr(encoder, "forward", stop)
    with pytest.raises(error):
        plan_extraction(shards, encoder, options(encoder), tmp_path / "C")
    assert list(tmp_path.iterdir()) == []


def test_a_plan_on_a_disk_without_room(shards: ShardSet, encoder: Encoder, small_disk: Path) -> None:
    planned = plan_extraction(shards, encoder, options(encoder), small_disk / "C")
    assert not planned.fits
    assert planned.free == 2**18
    assert planned.pilot is not None
    assert planned.pilot.samples == 1, "a quarter of the disk holds no more"
    (small_disk / "filler").write_bytes(bytes(2**18))
    full = plan_extraction(shards, encoder, options(encoder), small_disk / "C")
    assert (full.free, full.fits, full.pilot, full.seconds) == (0, False, None, None)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_the_pilot_works_beside_the_cache_but_on_its_disk(tmp_path: Path, small_disk: Path) -> None:
    assert pilot.workplace(tmp_path / "a/b") == tmp_path
    (tmp_path / "a/b").mkdir(parents=True)
    assert pilot.workplace(tmp_path / "a/b") == tmp_path / "a"
    assert pilot.workplace(small_disk) == small_disk, "above it is another disk"
    assert pilot.workplace(small_disk / "C") == small_disk
