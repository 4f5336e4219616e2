"""Compiled blocks give the same features through the same hooks."""

from functools import partial
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from tests.support.order_proofs import make, tokens


def test_compiled_blocks_give_the_same_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as for any backend; the default one would compile C++ for half a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    taps = ["vit.patch_embed", "vit.block_01"]
    plain = encoders.load("tiny:clip", LoadOptions(dtype="float32", device="cpu"), taps)
    compiled: Any = encoders.load("tiny:clip", LoadOptions(dtype="float32", device="cpu", compiled=True), taps)
    assert hasattr(compiled.model.encoder.layers[0].forward, "_torchdynamo_orig_callable")
    clips, media = make(plain, "mixed sizes")
    assert_close(tokens(compiled, clips, media, *taps), tokens(plain, clips, media, *taps), rtol=1e-4, atol=1e-4)
    assert compiled.identity() == {**plain.identity(), "compiled": True}
