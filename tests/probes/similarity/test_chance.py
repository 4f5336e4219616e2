"""Which samples are exchanged, and similarities of real caches against chance."""

from pathlib import Path

import numpy as np
import pytest

from foresight_cache.reader import Cache, open_cache
from foresight_probes.similarity import chance
from foresight_probes.similarity.chance import choose
from foresight_probes.similarity.comparison import PointComparison
from foresight_probes.similarity.result import PointSimilarity
from tests.probes.metrics.test_similarity import kernel_cka
from tests.support import planted

POINTS = ("pixels", "vit.block_01", "llm.layer_01")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Ten samples of unrelated noise in every point: 4×6 patches, 2×3 merged tokens, 56×84 pixels."""
    root = tmp_path_factory.mktemp("chance") / "C"
    planted.write(root, planted.plan(planted.fixed_points()))
    return open_cache(root)


def compared(cache: Cache, **options: object) -> PointSimilarity:
    return PointComparison(cache, **options).run()  # type: ignore[arg-type]


def test_one_sample_of_each_group_whatever_their_order() -> None:
    samples = [{"group": f"group {number // 3}", "id": f"sample {number}"} for number in range(30)]
    ids = {samples[position]["id"] for position in choose(samples)}
    assert len({int(name.split()[1]) // 3 for name in ids}) == len(ids) == 10
    assert {samples[::-1][position]["id"] for position in choose(samples[::-1])} == ids
    fewer = {samples[position]["id"] for position in choose(samples, 4)}
    assert len(fewer) == 4
    assert fewer < ids
    rest = samples[3:]
    assert {rest[position]["id"] for position in choose(rest, 4)} >= fewer - {f"sample {number}" for number in range(3)}


def test_all_tokens_of_few_samples_are_tested(cache: Cache) -> None:
    """Ten samples of 24 tokens are within the bound, so that what is tested is what is shown."""
    result = compared(cache)
    tested = result.tested_cka
    assert tested is not None
    assert (tested.samples, tested.rows, tested.permutations) == (10, 24, 199)
    assert tested.values == tuple(pytest.approx(row, abs=1e-5) for row in result.cka)
    assert [tested.p_values[k][k] for k in range(3)] == [1 / 200] * 3
    assert tested.p_values == tuple(zip(*tested.p_values, strict=True))
    means = compared(cache, of="means")
    assert means.tested_cka is not None
    assert means.tested_cka.values == tuple(pytest.approx(row, abs=1e-5) for row in means.cka)
    assert means.tested_cka.rows == 1
    assert means.mutual_knn == result.mutual_knn, "of means, whatever is compared"


def test_common_neighbours_by_brute_force(cache: Cache) -> None:
    """Of ten samples the four nearest of each."""
    result = compared(cache, points=["vit.block_01", "llm.layer_01"])
    sets = []
    for point in result.points:
        means = np.stack([cache[point][row].astype(float).mean(0) for row in range(10)])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        near = means @ means.T - 2 * np.eye(10)
        sets.append([set(row) for row in np.argsort(-near)[:, :4]])
    expected = np.mean([len(one & other) / 4 for one, other in zip(*sets, strict=True)])
    assert result.neighbours == 4
    assert result.mutual_knn is not None
    assert result.mutual_knn.values[0][1] == pytest.approx(expected, abs=1e-6)
    assert result.mutual_knn.chance[0][1] == pytest.approx(4 / 9, abs=0.03)
    assert result.mutual_knn.values[0][0] == pytest.approx(1)


def test_noise_is_no_more_than_chance(cache: Cache) -> None:
    """Wide noise of ten samples has a CKA of 0.8 and more, and says nothing."""
    result = compared(cache, of="means", points=["vit.block_01", "llm.layer_01"])
    assert result.tested_cka is not None
    value, by_chance = result.tested_cka.values[0][1], result.tested_cka.chance[0][1]
    assert value is not None
    assert value > 0.5
    assert by_chance == pytest.approx(value, abs=0.2)
    assert result.tested_cka.by_chance(0, 1)
    assert not result.tested_cka.by_chance(0, 0)


def test_more_samples_than_the_bound(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four samples, two of them with tokens of the middles of two times two places."""
    monkeypatch.setattr(chance, "MOST_SAMPLES", 8)
    monkeypatch.setattr(chance, "MOST_WITH_TOKENS", 2)
    monkeypatch.setattr(chance, "choose", lambda samples: choose(samples, 4))
    monkeypatch.setattr("foresight_probes.similarity.comparison.choose", lambda samples: choose(samples, 4))
    result = compared(cache, points=["vit.block_01", "llm.layer_01"])
    assert result.tested_cka is not None
    assert (result.tested_cka.samples, result.tested_cka.rows) == (2, 4)
    rows = choose(cache.rows, 4)[::2]
    patches = [cache["vit.block_01"][row].astype(float).reshape(4, 6, -1)[1::2, 1::3] for row in rows]
    merged = [cache["llm.layer_01"][row].astype(float).reshape(2, 3, -1)[:, [0, 2]] for row in rows]
    features = [np.concatenate([part.reshape(4, -1) for part in parts]) for parts in (patches, merged)]
    assert result.tested_cka.values[0][1] == pytest.approx(kernel_cka(*features), abs=1e-5)
    assert result.samples == 10


def test_a_single_group_has_no_test(tmp_path: Path) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()), bad=tuple(range(9)))
    result = compared(open_cache(tmp_path / "C"), points=["vit.block_01", "llm.layer_01"])
    assert result.tested_cka is None
    assert result.mutual_knn is None
