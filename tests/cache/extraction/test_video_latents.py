"""Short real clips through LTX-Video's VAE: what a reader finds, and what is refused before anything is written."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import UsageError
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.rerun import rerun
from foresight_cache.points import resolve
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_cache.shards import open_shards
from foresight_cache.verify import verify
from tests.support.extracting import extraction_options
from tests.support.made_clips import encode
from tests.support.preparing import prepare
from tests.support.references import ltx_vae as reference

MODEL = "tiny:ltx_vae-0.9.1"
FLOAT = LoadOptions(dtype="float32", device="cpu")
SIZE = "64x96"


@pytest.fixture(scope="module")
def vae() -> Encoder:
    return encoders.load(MODEL, FLOAT)


@pytest.fixture(scope="module")
def shards(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 17 frames of each of the videos."""
    folder = tmp_path_factory.mktemp("clips")
    for source in sorted((assets / "data/videos").iterdir()):
        with av.open(str(source)) as video:
            frames = [frame.reformat(128, 96).to_ndarray(format="rgb24") for frame in islice(video.decode(video=0), 17)]
        target = folder / "raw" / f"{source.stem}.mp4"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(encode(frames))
    prepare("video-folder", root=folder / "raw", out=folder / "S")
    return folder / "S"


@pytest.fixture(scope="module")
def cache(vae: Encoder, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Latents first, by a VAE without a decoder, and then what is decoded from them beside them."""
    out = tmp_path_factory.mktemp("caches") / "C"
    taps = [tap.name for tap in vae.taps]
    for encoder, points in ((encoders.load(MODEL, FLOAT, taps[:1]), taps[:1]), (vae, ["vae.*"])):
        options = extraction_options(resolve(points, taps), SIZE, frames=17)
        extract(open_shards(shards), encoder, options, out)
    return open_cache(out)


def test_a_reader_compares_the_reconstruction_with_the_source(vae: Encoder, cache: Cache) -> None:
    model = vae.model  # type: ignore[attr-defined]
    assert len(cache) == 4
    for number in range(len(cache)):
        pixels, picture = (cache[name].grid(number) for name in ("pixels", "vae.reconstruction"))
        assert pixels.shape == picture.shape == (17, 64, 96, 3)
        assert pixels.dtype == picture.dtype == np.uint8
        assert cache["vae.latent"].grid_of(number) == Grid(3, 2, 3)
        latent = torch.from_numpy(cache["vae.latent"].grid(number)).permute(3, 0, 1, 2)
        torch.testing.assert_close(latent, reference.latent(model, pixels), rtol=1e-4, atol=1e-4)
        theirs = reference.picture(model, latent)
        assert (torch.from_numpy(picture).int() - theirs.int()).abs().max() <= 1


def test_the_cache_is_whole_and_the_same_when_it_is_made_again(vae: Encoder, cache: Cache) -> None:
    assert verify(cache) == []
    differences = {each.point: each.absolute for each in rerun(cache, vae, 2)}
    assert differences == {"vae.latent": 0, "vae.reconstruction": 0}


def test_a_picture_is_an_array_and_no_point_of_tokens(cache: Cache) -> None:
    assert cache.arrays == ("vae.latent", "vae.reconstruction", "pixels")
    assert cache.points == ("vae.latent", "pixels")
    assert cache.select(["vae.*"]) == ("vae.latent",)
    assert cache.layout.points["vae.reconstruction"].dtype == "uint8"
    assert set(cache.statistics["point"]) == {"vae.latent"}
    assert "diffusers" in cache.fingerprint["libraries"]


@pytest.mark.parametrize(
    ("size", "sampling", "told"),
    [
        (
            SIZE,
            {"frames": 8},
            "--frames 8 is not possible for ltx_vae: its clips have 1 more than a multiple of 8 frames",
        ),
        (
            SIZE,
            {"frames": 17, "frames_per_second": 4.0},
            "--fps takes as many frames as a clip is long, and clips of",
        ),
        ("64x100", {"frames": 17}, "size 64 × 100 with 17 frames is not possible for ltx_vae: .* is 64 × 96"),
    ],
)
def test_what_the_vae_cannot_take_is_refused_before_anything_is_written(
    vae: Encoder, shards: Path, tmp_path: Path, size: str, sampling: dict[str, float], told: str
) -> None:
    points = resolve(["vae.latent"], [tap.name for tap in vae.taps])
    with pytest.raises(UsageError, match=told):
        extract(open_shards(shards), vae, extraction_options(points, size, **sampling), tmp_path / "C")
    assert not (tmp_path / "C").exists()


def test_frames_alone_have_a_step_each(vae: Encoder, shards: Path, tmp_path: Path) -> None:
    """So that their number is free."""
    points = resolve(["vae.latent"], [tap.name for tap in vae.taps])
    options = extraction_options(points, SIZE, frames=2)
    options = replace(options, inputs=replace(options.inputs, clips_as="images"))
    extract(open_shards(shards), vae, options, tmp_path / "C")
    cache = open_cache(tmp_path / "C")
    first = reference.latent(vae.model, cache["pixels"].grid(0)[1:])  # type: ignore[attr-defined]
    assert cache["vae.latent"].grid_of(0) == Grid(2, 2, 3)
    np.testing.assert_allclose(cache["vae.latent"].grid(0)[1], first[:, 0].permute(1, 2, 0), rtol=1e-4, atol=1e-4)
