"""What is said of `--engine ray` before anything begins."""

import sys
from pathlib import Path

import pytest

from pipelines.cli import run


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray") / "shards"
    assert run(["prepare", "shapes", "--limit", "4", "--out", str(folder)]) == 0
    return folder


def _extract(shards: Path, *words: str) -> list[str]:
    model = ("--model", "tiny:qwen2_5_vl", "--points", "E1", "--size", "56")
    return ["extract", str(shards), *model, "--out", str(shards.parent / "cache"), *words]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--engine", "rai"), 2, "unknown engine 'rai'; did you mean 'ray'?"),
        (("--ray-address", "localhost:1"), 2, "--ray-address is for --engine ray"),
        (("--ray-workers", "2"), 2, "--ray-workers is for --engine ray"),
        (("--engine", "ray", "--ray-workers", "0"), 2, "--ray-workers"),
    ],
)
def test_mistakes(
    words: tuple[str, ...], status: int, said: str, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(_extract(shards, *words)) == status
    assert said in capsys.readouterr().err
    assert not (shards.parent / "cache").exists()


def test_without_ray_the_extra_is_named(
    shards: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(_extract(shards, "--engine", "ray")) == 1
    assert "--engine ray needs the package 'ray'; install it with: pip install 'foresight-cache[ray]'" in (
        capsys.readouterr().err
    )


def test_no_cluster_at_an_address(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    assert run(_extract(shards, "--engine", "ray", "--ray-address", "127.0.0.1:1")) == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in capsys.readouterr().err
