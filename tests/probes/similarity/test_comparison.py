"""Similarities between the points of caches, against kernels between all rows that numpy aligns."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foresight_cache.errors import ProbeError, UnknownName, UsageError
from foresight_cache.format.layout import PointLayout
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Grid
from foresight_probes.similarity import comparison
from foresight_probes.similarity.comparison import PointComparison
from foresight_probes.similarity.result import PointSimilarity
from tests.probes.metrics.test_similarity import kernel_cka
from tests.support import planted

POINTS = ("pixels", "vit.block_01", "llm.layer_01")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Ten samples: 4×6 patches, 2×3 merged tokens, 56×84 pixels."""
    return write(tmp_path_factory.mktemp("similarity") / "C")


def write(root: Path, bad: tuple[int, ...] = (), points: dict[str, PointLayout] | None = None) -> Cache:
    planted.write(root, planted.plan(points or planted.fixed_points()), bad=bad)
    return open_cache(root)


def on_patches(cache: Cache, point: str, index: int) -> np.ndarray:
    """Tokens [24, D] float64 of one sample: a merged token stands for its 2×2 patches, a patch of pixels for itself."""
    tokens = cache[point][index].astype(float)
    if point == "pixels":
        patches = tokens.reshape(4, 14, 6, 14, 3).transpose(0, 2, 1, 3, 4)
        return patches.reshape(24, -1) / 255
    if len(tokens) == 6:
        return tokens.reshape(2, 3, -1).repeat(2, axis=0).repeat(2, axis=1).reshape(24, -1)
    return tokens


def all_tokens(cache: Cache, point: str, rows: list[int]) -> np.ndarray:
    return np.concatenate([on_patches(cache, point, row) for row in rows])


def all_means(cache: Cache, point: str, rows: list[int]) -> np.ndarray:
    return np.stack([on_patches(cache, point, row).mean(0) for row in rows])


def compared(cache: Cache, **options: object) -> PointSimilarity:
    return PointComparison(cache, **options).run()  # type: ignore[arg-type]


@pytest.mark.parametrize(("of", "features", "rows"), [("tokens", all_tokens, 240), ("means", all_means, 10)])
def test_points_of_one_cache(cache: Cache, of: str, features: Callable[..., np.ndarray], rows: int) -> None:
    result = compared(cache, of=of)
    assert result.points == result.columns == POINTS, "in the order of computation, the input first"
    assert (result.samples, result.rows, result.undefined) == (10, rows, ())
    numbers = [features(cache, point, list(range(10))) for point in POINTS]
    expected = [[kernel_cka(one, other) for other in numbers] for one in numbers]
    assert result.cka == tuple(pytest.approx(row, abs=1e-6) for row in expected)
    assert [result.cka[k][k] for k in range(3)] == [1, 1, 1]
    assert 0.01 < expected[0][1] < 0.99


def test_another_point_changes_no_number(cache: Cache) -> None:
    """Although the grid of the patches is finer than that of the other point."""
    whole = compared(cache)
    assert compared(cache, points=["vit.block_01", "pixels"]).cka == tuple(row[:2] for row in whole.cka[:2])


def test_grids_that_differ_from_sample_to_sample(tmp_path: Path) -> None:
    points = {
        "vit.block_01": PointLayout.ragged("patch", "bfloat16", 80, 5),
        "llm.layer_01": PointLayout.ragged("merged", "float32", 20, 7),
    }
    planted.write(tmp_path / "R", planted.plan(points), ragged=True)
    cache = open_cache(tmp_path / "R")
    merged = []
    for index in range(10):
        grid: Grid = cache["llm.layer_01"].grid_of(index)
        tokens = cache["llm.layer_01"][index].astype(float).reshape(grid.h, grid.w, -1)
        merged.append(np.kron(tokens.transpose(2, 0, 1), np.ones((1, 2, 2))).transpose(1, 2, 0).reshape(-1, 7))
    patches = np.concatenate([cache["vit.block_01"][index].astype(float) for index in range(10)])
    expected = kernel_cka(patches, np.concatenate(merged))
    result = compared(cache)
    assert result.cka[0][1] == result.cka[1][0] == pytest.approx(expected)
    assert result.rows == len(patches)


def test_many_pairs_take_several_passes(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compared(cache)
    monkeypatch.setattr(comparison, "MOST_BYTES", 8 * 588 * 588)
    several = PointComparison(cache)
    assert several.steps == 20 + 10, "the products of pixels by themselves fill a pass; ten samples are exchanged"
    seen: list[int] = []
    result = several.run(lambda samples, _: seen.append(samples))
    assert sum(seen) == 30
    assert result == whole


def test_the_points_of_a_large_model_take_one_pass() -> None:
    """Eight points of 3,584 channels, within the bound of memory."""
    pairs = [(one, other) for one in range(8) for other in range(one, 8)]
    assert len(comparison._passes_of(pairs, [3584] * 8)) == 1
    passes = comparison._passes_of([(one, other) for one in range(20) for other in range(one, 20)], [3584] * 20)
    assert all(sum(8 * 3584**2 for _ in each) <= comparison.MOST_BYTES for each in passes)
    assert sum(map(len, passes)) == 210


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Cache, Cache]:
    """Two caches of the same samples, the second in the other order with other features; each has quarantined some."""
    first = write(tmp_path / "first", (2,))
    sample = planted.sample
    monkeypatch.setattr(planted, "sample", lambda slot: sample(9 - slot))
    points = {
        "vit.block_01": PointLayout.fixed("patch", "float32", 24, 5),
        "vit.block_02": PointLayout.fixed("merged", "float32", 6, 4),
        "pixels": PointLayout.fixed("pixel", "uint8", 56 * 84, 3),
    }
    second = write(tmp_path / "second", (1, 4), points)
    assert second.rows[0]["id"] == "planted/train/0009"
    return first, second


def test_points_of_two_caches_are_joined_by_sample(both: tuple[Cache, Cache]) -> None:
    first, second = both
    result = compared(first, points=["llm.*", "vit.block_01"], other=second, other_points=["vit.*"])
    assert (result.points, result.columns) == (("vit.block_01", "llm.layer_01"), ("vit.block_01", "vit.block_02"))
    rows = [row for row in range(10) if row not in (2, 9 - 1, 9 - 4)]
    assert (result.samples, result.rows) == (7, 7 * 24)
    others = [9 - row for row in rows]
    expected = [
        [kernel_cka(all_tokens(first, one, rows), all_tokens(second, other, others)) for other in result.columns]
        for one in result.points
    ]
    assert result.cka == tuple(pytest.approx(row) for row in expected)


def test_a_cache_is_as_similar_to_itself_as_another_cache_that_equals_it(cache: Cache) -> None:
    assert compared(cache, other=cache).cka == tuple(pytest.approx(row) for row in compared(cache).cka)


def test_quarantined_samples_are_left_out(tmp_path: Path) -> None:
    cache = write(tmp_path / "C", (0, 5))
    result = compared(cache, points=["vit.block_01", "llm.layer_01"])
    rows = [1, 2, 3, 4, 6, 7, 8, 9]
    numbers = [all_tokens(cache, point, rows) for point in result.points]
    assert result.samples == 8
    assert result.cka[0][1] == pytest.approx(kernel_cka(*numbers))


def test_features_that_do_not_vary_have_no_similarity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = planted.values

    def constant_at_one_point(slot: int, tokens: int, layout: PointLayout) -> np.ndarray:
        return values(slot, tokens, layout) * (layout.width != 12)

    monkeypatch.setattr(planted, "values", constant_at_one_point)
    result = compared(write(tmp_path / "C"))
    assert result.undefined == ("llm.layer_01",)
    assert [[value is None for value in row] for row in result.cka] == [
        [False, False, True],
        [False, False, True],
        [True, True, True],
    ]
    assert result.to_json()["cka"][2] == (None, None, None)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"points": ["vit.block_11", "pixels"]}, UnknownName, "unknown .*'vit.block_11'.*vit.block_01"),
        (
            {"points": ["vit.block_02", "pixels"]},
            UnknownName,
            "unknown point of this cache 'vit.block_02'.*vit.block_01",
        ),
        ({"points": ["pixels"]}, UsageError, "pixels alone was named; name at least two points, or another cache"),
        ({"points": []}, UsageError, "no point was named; .* has vit.block_01, llm.layer_01, pixels"),
        ({"points": ["pixels", "pixels"]}, UsageError, "pixels alone was named"),
        ({"device": "cuda"}, UsageError, "torch finds none here"),
    ],
)
def test_wrong_points(
    cache: Cache,
    options: dict[str, list[str]],
    error: type[Exception],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison.torch.cuda, "is_available", lambda: False)
    with pytest.raises(error, match=sentence):
        PointComparison(cache, **options)  # type: ignore[arg-type]


def test_caches_of_other_samples(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.write(tmp_path / "fewer", planted.plan(planted.fixed_points(), samples=8))
    sentence = "not the same samples: 2 samples are in one of them alone, such as planted/train/0008; compare caches"
    with pytest.raises(ProbeError, match=sentence):
        PointComparison(cache, other=open_cache(tmp_path / "fewer"))
    sample = planted.sample
    monkeypatch.setattr(planted, "sample", lambda slot: sample(slot + 50))
    with pytest.raises(ProbeError, match="no sample in common: 20 samples are in one of them alone"):
        PointComparison(cache, other=write(tmp_path / "others"))


def test_too_few_samples(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="no sample that can be compared, of 10 that are committed"):
        PointComparison(write(tmp_path / "none", tuple(range(10))), points=["vit.block_01", "llm.layer_01"])
    one = write(tmp_path / "one", tuple(range(9)))
    with pytest.raises(ProbeError, match="one sample to compare; means over tokens need at least two"):
        PointComparison(one, points=["vit.block_01", "llm.layer_01"], of="means")
    assert compared(one, points=["vit.block_01", "llm.layer_01"]).rows == 24


def test_inputs_that_are_fitted_in_another_way_have_their_tokens_elsewhere(cache: Cache, tmp_path: Path) -> None:
    plan = planted.plan(planted.fixed_points())
    plan.fingerprint["input"]["fit"] = "letterbox"  # type: ignore[index]
    planted.write(tmp_path / "C", plan)
    other = open_cache(tmp_path / "C")
    with pytest.raises(ProbeError, match=r"\(stretch and letterbox\).*compare means over tokens instead"):
        PointComparison(cache, other=other)
    assert compared(cache, other=other, of="means").samples == 10
