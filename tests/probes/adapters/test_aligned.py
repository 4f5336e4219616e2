"""Caches that are joined by the samples' ids, and those that are refused, with the field and the count."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresight_cache.errors import ProbeError, UnknownName, UsageError
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes.adapters.aligned import Aligned, PointOf
from foresight_probes.adapters.plan import OPTIONS, AdapterPlan, AdapterRequest
from tests.support import planted_adapters as planted

SAMPLES = 6
MEANS = np.arange(SAMPLES * 8 * 3, dtype=np.float32).reshape(SAMPLES, 8, 3)


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return planted.write_latents(tmp_path_factory.mktemp("latents") / "L", MEANS)


def test_rows_belong_together_whatever_their_order(latents: Cache, tmp_path: Path) -> None:
    tokens = planted.tokens(SAMPLES)
    backwards = {name: own[::-1] for name, own in tokens.items()}
    names = [f"planted/train/{number:04d}" for number in reversed(range(SAMPLES))]
    turned = planted.write_tokens(
        tmp_path / "T",
        backwards,
        change=lambda number: {"id": names[number], "group": f"clip-{SAMPLES - 1 - number}"},
    )
    aligned = Aligned((turned,), latents)
    source = aligned.source(PointOf(0, "llm.layer_01"))
    for sample in range(SAMPLES):
        out = np.empty((planted.COARSE.tokens, 5), np.float32)
        source.read_into(sample, out, check=True)
        np.testing.assert_array_equal(out, tokens["llm.layer_01"][sample])
        np.testing.assert_array_equal(aligned.latent(sample), MEANS[sample])


def test_quarantined_samples_are_left_out(latents: Cache, tmp_path: Path) -> None:
    """And a clip that was not reversed is one of which nobody asked that."""
    tokens = planted.write_tokens(
        tmp_path / "T", planted.tokens(SAMPLES), bad=[2], change=lambda _: {"reversed": False}
    )
    aligned = Aligned((tokens,), latents)
    assert [row["id"][-1] for row in aligned.samples] == list("01345")
    assert aligned.left_out == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"frames": tuple(range(1, 10))},
            r"frames differ \(frame_indices\) in 1 of 6 samples of .*T and .*L: planted/",
        ),
        ({"grids": {**{"patch": planted.FINE, "merged": planted.COARSE}, "pixel": Grid(9, 64, 96)}}, r"\(grid_pixel\)"),
        ({"group": "another"}, r"group differ \(group\) in 1 of 6"),
        ({"reversed": True}, r"direction in time differ \(reversed\) in 1 of 6"),
        ({"id": "another/0001"}, r"samples differ \(id\): 1 of 6 samples of .*L are not in .*T, such as planted/"),
    ],
)
def test_what_differs_is_named_and_counted(latents: Cache, tmp_path: Path, change: Any, told: str) -> None:
    tokens = planted.write_tokens(
        tmp_path / "T", planted.tokens(SAMPLES), change=lambda number: change if number == 1 else {}
    )
    with pytest.raises(UsageError, match=told):
        Aligned((tokens,), latents)


def test_what_cannot_be_an_adapter_is_refused_before_anything(latents: Cache, tmp_path: Path) -> None:
    tokens = planted.write_tokens(tmp_path / "T", {**planted.tokens(SAMPLES)})
    with pytest.raises(UsageError, match="T has no vae.latent"):
        Aligned((tokens,), tokens)
    options = replace(OPTIONS, folds=3)

    def plan(adapters: str, points: str, **fields: Any) -> AdapterPlan:
        own = {"options": options, "capacities": (0.02,), **fields}
        request = AdapterRequest(adapters=tuple(adapters.split()), points=tuple(points.split()), **own)
        return AdapterPlan(Aligned((tokens,), latents), request, tmp_path)

    assert [run.name for run in plan("mlp dual-stream", "vit.pre_merge vit.pre_merge+llm.layer_01").runs] == [
        "mlp-0.02M-seed0",
        "dual-stream-0.02M-seed0",
        "dual-stream-0.02M-without-1-seed0",
        "dual-stream-0.02M-without-2-seed0",
    ]
    for error, told, words in (
        (UnknownName, "unknown adapter 'mpl'; did you mean 'mlp'", ("mpl", "vit.pre_merge")),
        (UnknownName, "unknown", ("mlp", "vit.pre_murge")),
        (UsageError, "dual-stream takes 2 points, and --points names none such", ("dual-stream", "vit.pre_merge")),
        (UsageError, "hybrid takes 2 points of different caches", ("hybrid", "vit.pre_merge+llm.layer_01")),
        (UsageError, "which none of mlp takes", ("mlp", "vit.pre_merge vit.pre_merge+llm.layer_01")),
        (UsageError, "names cache 2, and 1 caches", ("mlp", "2:vit.pre_merge")),
    ):
        with pytest.raises(error, match=told):
            plan(*words)
    with pytest.raises(UsageError, match="capacity 1e-06 is not possible for mlp"):
        plan("mlp", "vit.pre_merge", capacities=(1e-6,))
    with pytest.raises(ProbeError, match="6 groups of usable samples cannot be divided into 7 folds"):
        plan("mlp", "vit.pre_merge", options=replace(OPTIONS, folds=7))


def test_points_without_a_grid_are_refused(latents: Cache, tmp_path: Path) -> None:
    tokens = planted.tokens(SAMPLES)
    arrays = {**tokens, "llm.layer_01@text": tokens["llm.layer_01"]}
    cache = planted.write_tokens(tmp_path / "T", arrays)
    with pytest.raises(UsageError, match="llm.layer_01@text of .* has no tokens on a grid"):
        Aligned((cache,), latents).parse("llm.layer_01@text")
