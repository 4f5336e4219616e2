"""Numbers that are not finite: counted, found by `verify --values`, and refused by what reads features."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from foresight_cache import open_cache
from foresight_cache.finiteness import not_finite
from tests.support import scenes
from tests.support.command import foresight


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32, np.float64])
@given(bits=arrays(np.uint16, 40))
def test_they_are_counted_as_numpy_counts_them(dtype: type, bits: np.ndarray) -> None:
    """Over all patterns of bits: infinities of both signs, and NaN of every kind."""
    numbers = bits.view(dtype) if np.dtype(dtype).itemsize == 2 else bits.view(np.float16).astype(dtype)
    assert not_finite(numbers) == np.count_nonzero(~np.isfinite(numbers.astype(np.float64)))


def test_whole_numbers_are_always_finite() -> None:
    assert not_finite(np.array([0, 255], np.uint8)) == 0


@pytest.fixture(params=[np.nan, np.inf, -np.inf])
def damaged(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sample of the training split and one of the test split have such a number, written as any other."""
    whole = scenes.informative

    def holed(index: int, grid: "scenes.Grid") -> np.ndarray:
        numbers = whole(index, grid)
        if index in (5, 17):
            numbers[3, 2] = request.param
        return numbers

    monkeypatch.setattr(scenes, "informative", holed)
    scenes.write(tmp_path / "C")
    return tmp_path / "C"


def test_verify_lists_them_by_point(damaged: Path) -> None:
    assert foresight("verify", damaged).returncode == 0, "every byte is as it was written"
    shown = foresight("verify", damaged, "--values")
    assert shown.returncode == 1
    found = [line for line in shown.stdout.splitlines() if "numbers not finite" in line]
    names = {sample["id"] for row, sample in enumerate(open_cache(damaged).rows) if row in (5, 17)}
    assert {line.split("sample ")[1].split()[0] for line in found} == names
    assert all("has 1 of 768 numbers not finite" in line for line in found)


@pytest.mark.parametrize("head", ["ridge", "mlp"])
def test_a_probe_ends_at_the_first_with_one_sentence(damaged: Path, head: str, tmp_path: Path) -> None:
    words = ["--task", "counting", "--heads", head, "--epochs", 1, "--logger", "none", "--device", "cpu"]
    run = foresight(
        "train-probe", damaged, *words, "--points", "vit.block_01", "--no-controls", "--out", tmp_path / "runs"
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("foresight: ")]
    assert "has 1 of 768 numbers that are not finite" in line
    assert "'foresight verify --values'" in line
    assert not list((tmp_path / "runs").rglob(f"{head}*.json"))
