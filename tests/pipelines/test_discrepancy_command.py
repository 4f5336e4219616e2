"""`foresight discrepancy`: what it refuses, before long work is begun."""

from pathlib import Path

from tests.support.command import said


def test_too_few_scenes_are_refused(tmp_path: Path) -> None:
    assert "--scenes" in said("discrepancy", "--out", tmp_path, "--scenes", 5, status=2)


def test_a_model_that_is_not_there_is_named_before_anything_is_drawn(tmp_path: Path) -> None:
    out, model = tmp_path / "out", tmp_path / "none"
    assert str(model) in said("discrepancy", "--out", out, "--model", model, status=1)
    assert not out.exists()


def test_a_model_without_the_point_is_refused_as_well(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "vit.block_09" in said("discrepancy", "--out", out, "--model", "tiny:dinov2", status=2)
    assert not out.exists()
