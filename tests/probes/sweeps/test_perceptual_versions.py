"""A result says which network its perceptual metrics looked with."""

import hashlib
from pathlib import Path

import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.sweeps.perceptual_versions import perceptual_versions


def test_the_trunk_and_the_digest_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "alexnet-mine.safetensors").write_bytes(b"weights")
    for metrics in (("psnr", "lpips"), ("gram_distance",)):
        found = perceptual_versions(metrics, tmp_path)
        digest = hashlib.sha256(b"weights").hexdigest()
        assert found["LPIPS trunk"] == f"alex from alexnet-mine.safetensors (SHA-256 {digest})"
        assert found["lpips"].startswith("0.1")


def test_other_metrics_need_no_file(tmp_path: Path) -> None:
    assert perceptual_versions(("psnr", "ssim"), tmp_path) == {}
    with pytest.raises(ProbeError, match="alexnet"):
        perceptual_versions(("lpips",), tmp_path)
