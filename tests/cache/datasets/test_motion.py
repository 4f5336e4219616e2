"""Clips that are drawn: what is said of them is what their pixels show."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresight_cache.datasets.parts import digits, trajectories
from foresight_cache.datasets.synthetic import bouncing_balls, moving_mnist
from foresight_cache.errors import DatasetError, UsageError
from foresight_cache.media.clips import decode_clip
from foresight_cache.samples import Sample
from foresight_cache.shards import open_shards, read_shard
from tests.support.command import foresight, said
from tests.support.preparing import prepare

Clip = tuple[np.ndarray, dict[str, Any]]
COUNT = 12


def clips(root: Path, count: int = COUNT) -> list[Clip]:
    """Pixels [T, H, W, 3] by Pillow alone, and the annotations."""
    listed = json.loads((root / "motion_train.json").read_text())["clips"]
    assert len(listed) == count
    paths = [sorted((root / "train" / clip["name"]).iterdir()) for clip in listed]
    frames = [np.stack([np.asarray(Image.open(path)) for path in each]) for each in paths]
    return list(zip(frames, (clip["objects"] for clip in listed), strict=True))


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    root = tmp_path_factory.mktemp("balls")
    bouncing_balls.generate(root, count=COUNT, seed=3)
    return clips(root)


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    root = tmp_path_factory.mktemp("mnist")
    moving_mnist.generate(root, count=COUNT, seed=3)
    return clips(root)


def centre(weights: np.ndarray) -> list[float]:
    """Centre of mass, x and y, in pixels from the corner."""
    y, x = np.indices(weights.shape) + 0.5
    return [float((weights * x).sum() / weights.sum()), float((weights * y).sum() / weights.sum())]


def test_a_ball_is_where_its_annotation_says(balls: list[Clip]) -> None:
    for frames, objects in balls:
        assert frames.shape == (16, 112, 112, 3)
        for thing in objects:
            colour = bouncing_balls._COLOURS[thing["category"]]
            for time, position in enumerate(thing["positions"]):
                assert centre((frames[time] == colour).all(axis=-1)) == pytest.approx(position, abs=1e-9)


def test_no_ball_hides_another(balls: list[Clip]) -> None:
    """Each has as many pixels in every frame as in the first."""
    assert any(len(objects) > 1 for _, objects in balls)
    for frames, objects in balls:
        for thing in objects:
            seen = (frames == bouncing_balls._COLOURS[thing["category"]]).all(axis=-1).sum(axis=(1, 2))
            assert len(set(seen.tolist())) == 1


def test_digits_are_where_their_annotations_say(tmp_path: Path) -> None:
    """Two made-up digits, told apart by their brightness, in all frames where neither hides a part of the other."""
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 3:9, 5:7], images[1, 12:20, 20:26] = 100, 200
    np.savez(tmp_path / "two.npz", x_train=images, y_train=np.array([3, 8]))
    moving_mnist.generate(tmp_path / "raw", count=COUNT, seed=3, source=tmp_path / "two.npz")
    checked = 0
    for frames, objects in clips(tmp_path / "raw"):
        assert frames.shape == (20, 64, 64, 3)
        if objects[0]["category"] == objects[1]["category"]:
            continue
        for thing in objects:
            grey, pixels = (100, 12) if thing["category"] == "3" else (200, 48)
            for time, position in enumerate(thing["positions"]):
                seen = (frames[time] == grey).all(axis=-1)
                if seen.sum() == pixels:
                    assert centre(seen) == pytest.approx(position, abs=1e-9)
                    checked += 1
    assert checked > 100


def test_drawn_digits_are_all_different(mnist: list[Clip]) -> None:
    """And each alone has its brightness where `positions` say, whatever its shape."""
    drawn = digits.draw_digits(np.random.default_rng(0))
    assert drawn.names == tuple("0123456789")
    flat = drawn.images.reshape(10, -1).astype(float)
    assert np.corrcoef(flat)[~np.eye(10, dtype=bool)].max() < 0.95
    for image in drawn.images:
        assert 20 < (image > 127).sum() < 400
        assert moving_mnist._centre(image) == pytest.approx(centre(image.astype(float)))
    assert {thing["category"] for _, objects in mnist for thing in objects} <= set("0123456789")


@pytest.mark.parametrize("kind", ["balls", "mnist"])
def test_velocity_speed_and_direction_follow_from_positions(request: pytest.FixtureRequest, kind: str) -> None:
    names = {
        (1, 0): "right",
        (1, 1): "down right",
        (0, 1): "down",
        (-1, 1): "down left",
        (-1, 0): "left",
        (-1, -1): "up left",
        (0, -1): "up",
        (1, -1): "up right",
    }
    directions = set()
    for _, objects in request.getfixturevalue(kind):
        for thing in objects:
            steps = np.diff(thing["positions"], axis=0)
            assert thing["speed"] == pytest.approx(np.hypot(*thing["velocity"]))
            if np.allclose(steps, steps[0]):
                assert steps[0] == pytest.approx(thing["velocity"])
                assert thing["direction"] == names[tuple(np.sign(thing["velocity"]).tolist())]
            else:
                assert thing["direction"] is None
            directions.add(thing["direction"])
    assert None in directions
    assert len(directions) > 4


def test_paths_reflect_and_stay_inside() -> None:
    """Worked by hand: from 3 by 2 a frame between 1 and 6: 3 5 (7→)5 3 1 3."""
    assert [trajectories.bounced(3 + 2 * time, 1, 6) for time in range(6)] == [3, 5, 5, 3, 1, 3]
    random = np.random.default_rng(0)
    for may_bounce in (True, False):
        for _ in range(200):
            path = trajectories.draw_trajectory(random, 4, (20, 30), frames=5, fastest=4, may_bounce=may_bounce)
            assert all(4 <= x <= 20 and 4 <= y <= 30 for x, y in path.positions)
            assert may_bounce or not path.bounces


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """And fewer clips are the first of more."""
    for generate in (bouncing_balls.generate, moving_mnist.generate):
        roots = [tmp_path / generate.__module__ / name for name in ("few", "many", "other")]
        for root, count, seed in zip(roots, (2, 3, 2), (1, 1, 2), strict=True):
            generate(root, count=count, seed=seed)
        few, many, other = (
            {path.relative_to(root): path.read_bytes() for path in root.rglob("*.png")} for root in roots
        )
        assert few.items() <= many.items()
        assert few != other
        with pytest.raises(UsageError, match="cannot be made"):
            generate(tmp_path / "x", count=0, seed=0)


@pytest.mark.parametrize("name", ["bouncing-balls", "moving-mnist"])
def test_frames_in_shards_decode_to_what_was_drawn(tmp_path: Path, name: str) -> None:
    generate = {"bouncing-balls": bouncing_balls.generate, "moving-mnist": moving_mnist.generate}[name]
    generate(tmp_path / "raw", count=2, seed=5)
    summary = prepare(name, out=tmp_path / "S", limit=2, seed=5)
    for (sample, members), (frames, objects) in zip(
        read_shard(summary.shards, 0), clips(tmp_path / "raw", 2), strict=True
    ):
        np.testing.assert_array_equal(decode_clip(members, range(sample.frames)), frames)
        assert sample.annotations == {"motion": {"objects": objects}}
        assert Sample.from_json(json.loads(json.dumps(sample.to_json()))) == sample


def given_digits() -> np.ndarray:
    images = np.zeros((3, 28, 28), np.uint8)
    for number in range(3):
        images[number, 4 : 8 + 4 * number, 10:14] = 100 + number
    return images


def idx(path: Path, array: np.ndarray) -> None:
    head = (0x800 + array.ndim).to_bytes(4, "big") + b"".join(size.to_bytes(4, "big") for size in array.shape)
    raw = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)


class TestGivenDigits:
    @pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "mnist.npz"])
    def test_digits_of_a_file(self, tmp_path: Path, name: str) -> None:
        images, labels = given_digits(), np.array([7, 1, 4])
        if name.endswith(".npz"):
            np.savez(tmp_path / name, x_train=images, y_train=labels)
        else:
            idx(tmp_path / name, images)
            idx(tmp_path / name.replace("images-idx3", "labels-idx1"), labels)
        loaded = digits.load_digits(tmp_path / name)
        np.testing.assert_array_equal(loaded.images, images)
        assert loaded.names == ("7", "1", "4")
        moving_mnist.generate(tmp_path / "raw", count=4, seed=0, source=tmp_path / name)
        for frames, objects in clips(tmp_path / "raw", 4):
            assert set(np.unique(frames)) <= {0, 100, 101, 102}
            assert {thing["category"] for thing in objects} <= {"7", "1", "4"}

    def test_digits_without_labels(self, tmp_path: Path) -> None:
        idx(tmp_path / "mine-images-idx3-ubyte", given_digits())
        assert digits.load_digits(tmp_path / "mine-images-idx3-ubyte").names == ("digit",) * 3

    def test_through_the_command(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "mnist.npz", x_train=given_digits(), y_train=np.array([7, 1, 4]))
        request = ("prepare", "moving-mnist", "--limit", 2, "--out", tmp_path / "S")
        assert foresight(*request, "--root", tmp_path / "mnist.npz").returncode == 0
        samples = [sample for sample, _ in read_shard(open_shards(tmp_path / "S"), 0)]
        assert {thing["category"] for each in samples for thing in each.annotations["motion"]["objects"]} <= {*"714"}
        assert "already prepared" in foresight(*request, "--root", tmp_path / "mnist.npz").stdout
        assert "already holds shards with --root" in said(*request, status=2)

    def test_other_generated_sets_take_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"")
        text = said("prepare", "bouncing-balls", "--root", tmp_path / "f", "--out", tmp_path / "S", status=2)
        assert "'bouncing-balls' is generated and reads no folder; leave --root out" in text

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\0\0\x08\x03",
            b"\0\0\x08\x03" + bytes(12),
            gzip.compress(b"no", mtime=0),
            b"\x1f\x8bno",
            b"PK\3\4",
            b"x" * 100,
        ],
    )
    def test_a_wrong_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "digits").write_bytes(content)
        with pytest.raises(DatasetError, match="holds no digits: .*; expected MNIST's train-images-idx3-ubyte"):
            digits.load_digits(tmp_path / "digits")

    @pytest.mark.parametrize(
        ("arrays", "words"),
        [
            ({"x": np.zeros(1)}, "x_train"),
            ({"x_train": np.zeros((2, 28, 28))}, "expected uint8"),
            ({"x_train": np.zeros((2, 32, 32), np.uint8)}, "expected uint8"),
            ({"x_train": np.zeros((2, 28, 28), np.uint8), "y_train": np.array([1])}, "its labels are not"),
            ({"x_train": np.array([None], dtype=object)}, "allow_pickle=False"),
        ],
    )
    def test_a_wrong_npz(self, tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
        np.savez(tmp_path / "mnist.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(DatasetError, match=words):
            digits.load_digits(tmp_path / "mnist.npz")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="there is no file"):
            digits.load_digits(tmp_path / "digits")
        text = said("prepare", "moving-mnist", "--root", tmp_path / "no", "--out", tmp_path / "S", status=1)
        assert "there is no file" in text
        assert not (tmp_path / "S").exists()
