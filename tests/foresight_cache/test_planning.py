"""What a plan says against what an extraction then writes, counted with os.stat."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foresight_cache import encoders, open_cache, space
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import CacheError
from foresight_cache.extraction import ExtractionOptions, extract, plan_cache
from foresight_cache.layout import CacheLayout
from foresight_cache.points import PIXELS, resolve
from foresight_cache.preparation import prepare
from foresight_cache.shards import ShardSet, open_shards
from foresight_cache.sizes import InputSize

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
    return ExtractionOptions(points=found, size=InputSize.parse(size), batch_tokens=256)


def predicted(shards: ShardSet, encoder: Encoder, wanted: ExtractionOptions, out: Path) -> space.Need:
    cache: CacheLayout = plan_cache(shards, encoder, wanted)
    found = space.survey(shards, encoder, wanted.size)
    lacking = space.missing(out, cache, (*map(str, wanted.points), PIXELS))
    return space.needed(cache, space.object_sizes(cache, found, encoder), lacking, found.record_bytes, block=4096)


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
    monkeypatch.setattr(space, "MOST_RECORDS", 20)
    assert list(space.survey(photos, encoder, wanted.size).sizes) == [0, 2, 5, 7]
    need = predicted(photos, encoder, wanted, tmp_path / "C")
    monkeypatch.setattr(space, "MOST_RECORDS", 8192)
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
        f"the cache at {out} needs {space.human(need.on_disk)} more and the disk of {small_disk} has 262.1 kB free; "
        f"free {space.human(need.on_disk - 2**18)} there, name another --out or keep fewer --points"
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


def test_shards_under_way_are_not_counted_twice(tmp_path: Path) -> None:
    """They are part of what is needed, so that a second worker may start on a disk that is just large enough."""
    before = space.room_at(tmp_path / "C").free
    partial = tmp_path / "C/samples/.partial/000000"
    partial.mkdir(parents=True)
    (partial / "pixels").write_bytes(os.urandom(20_000_000))
    after = space.room_at(tmp_path / "C").free
    assert before is not None
    assert after is not None
    assert os.statvfs(tmp_path).f_frsize > 1
    assert space._under_way(partial) == pytest.approx(20_000_000, rel=0.01)
    assert after == os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize + space._under_way(partial)


@pytest.mark.parametrize("damage", ["cut", "size", "name", "record"])
def test_a_damaged_tar_is_passed_over(photos: ShardSet, encoder: Encoder, tmp_path: Path, damage: str) -> None:
    """The extraction will say what is wrong with it; here it must not stop or mislead."""
    from dataclasses import replace
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
    found = space.survey(replace(photos, path=tmp_path / "S"), encoder, InputSize.parse("native"))
    assert sorted(found.sizes) == [0, 2, 3, 4, 5, 6, 7]
