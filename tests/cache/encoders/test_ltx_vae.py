"""LTX-Video's VAE, held to diffusers' own encoding, decoding and normalisation; what is refused, and in which words."""

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.bases import latents
from foresight_cache.encoders.ltx_vae import LATENT, RECONSTRUCTION, Family
from foresight_cache.encoders.weights import diffusers_models
from foresight_cache.errors import FeatureError, MissingExtra, ModelError, UnknownName, UsageError
from foresight_cache.samples import Grid
from tests.support.references import ltx_vae as reference

FLOAT = LoadOptions(dtype="float32", device="cpu")
KINDS = ("tiny:ltx_vae", "tiny:ltx_vae-0.9.1")
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module", params=KINDS)
def vae(request: pytest.FixtureRequest) -> Family:
    return Family.load(request.param, FLOAT)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The VAE as diffusers saves it, with a scaling factor that is not one, as if it had been trained."""
    path = tmp_path_factory.mktemp("models") / "vae"
    model: Any = Family.load(KINDS[0], FLOAT).model
    model.register_to_config(scaling_factor=0.7)
    model.save_pretrained(path)
    edit(path, lambda config: config.pop("random_weights_seed"))
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((path / "config.json").read_text())
    change(config)
    (path / "config.json").write_text(json.dumps(config))


def clip(frames: int, height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(frames).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def both(vae: Family, frames_THWC: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The latent [D, T, H, W] and the reconstruction [T, H, W, 3] of a clip."""
    features = vae.forward(vae.preprocess([frames_THWC], "clip"), [LATENT, RECONSTRUCTION])
    grids = [vae.grid(level, *frames_THWC.shape[:3]) for level in ("patch", "pixel")]
    latent, picture = (features[tap.name][0].reshape(*grid, -1) for tap, grid in zip(vae.taps, grids, strict=True))
    return latent.permute(3, 0, 1, 2), picture


def compare(vae: Family, frames: int) -> None:
    """Raises `AssertionError` where what is kept of a clip is not what diffusers makes of it."""
    latent, picture = both(vae, clip(frames))
    expected = reference.latent(vae.model, clip(frames))
    assert latent.shape == (16, 1 + frames // 8, 2, 3)
    assert_close(latent, expected, rtol=1e-5, atol=1e-5)
    theirs = reference.picture(vae.model, expected)
    assert picture.shape == theirs.shape == (frames, 64, 96, 3)
    # A level is one of 256; sums in another order may round to the next one.
    assert (picture.int() - theirs.int()).abs().max() <= 1
    assert (picture == theirs).float().mean() > 0.999


@pytest.mark.parametrize("frames", [1, 9, 17])
def test_what_is_kept_is_what_diffusers_encodes_and_decodes(vae: Family, frames: int) -> None:
    mean, deviation = (vae.model.get_buffer(name) for name in ("latents_mean", "latents_std"))
    assert mean.std() > 0.2
    assert deviation.std() > 0.2, "a wrong normalisation would not be seen"
    compare(vae, frames)


BROKEN: dict[str, tuple[Any, str, Any]] = {
    "not normalised": (latents.Normalisation, "applied", lambda _self, latent: latent),
    "normalised the other way round": (latents.Normalisation, "applied", latents.Normalisation.undone),
    "decoded as it is": (latents.Normalisation, "undone", lambda _self, latent: latent),
    "frames shifted by one": (
        *(Family, "_encode"),
        lambda self, clip, encode=Family._encode: encode(self, clip.roll(1, dims=0)),
    ),
    "time and rows exchanged": (
        *(Family, "raster_tokens"),
        lambda _self, _tap, encoded: [latent.transpose(1, 2).flatten(1).T for latent in encoded],
    ),
    "time turned round": (
        *(Family, "raster_tokens"),
        lambda _self, _tap, encoded: [latent.flip(1).flatten(1).T for latent in encoded],
    ),
    "another timestep": (latents, "TIMESTEP", 0.5),
    "other noise": (latents, "SEED", 1),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_the_comparison_can_fail(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vae = Family.load(KINDS[1], FLOAT)
    monkeypatch.setattr(*BROKEN[broken])
    with pytest.raises(AssertionError):
        compare(vae, 17)


def test_a_step_sees_its_own_eight_frames_and_none_after_them(vae: Family) -> None:
    plain = clip(17)
    before, _ = both(vae, plain)
    for step, frames in enumerate([range(1), range(1, 9), range(9, 17)]):
        for frame in (frames[0], frames[-1]):
            changed = plain.copy()
            changed[frame] = 255 - changed[frame]
            difference = (both(vae, changed)[0] - before).abs().amax(dim=(0, 2, 3))
            assert difference[:step].eq(0).all()
            assert difference[step] > 1e-3, f"step {step} does not see frame {frame}"


def test_noise_is_the_same_for_each_sample_and_the_global_one_is_left_alone() -> None:
    """Also where the decoder draws it from the global random numbers, as that of 0.9.1 does."""
    vae = Family.load(KINDS[1], FLOAT)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    clips = [clip(9), clip(1), clip(9, 32, 64)]
    together = vae.forward(vae.preprocess(clips, "clip"), [RECONSTRUCTION, LATENT])
    assert list(together) == [RECONSTRUCTION, LATENT]
    assert torch.equal(torch.get_rng_state(), state)
    for number, each in enumerate(clips):
        alone = vae.forward(vae.preprocess([each], "clip"), [LATENT, RECONSTRUCTION])
        for point, (sample,) in alone.items():
            assert torch.equal(sample, together[point][number])


def test_decoding_what_a_cache_holds_gives_its_reconstruction() -> None:
    """To the bit, in a type in which the latent has been rounded: so a reader's decoder and the oracle are one."""
    vae = Family.load(KINDS[1], LoadOptions(device="cpu"))
    features = vae.forward(vae.preprocess([clip(9)], "clip"), [LATENT, RECONSTRUCTION])
    assert features[LATENT][0].dtype is torch.bfloat16
    picture = vae.decode(features[LATENT][0].clone(), Grid(2, 2, 3))
    assert torch.equal(picture.flatten(0, 2), features[RECONSTRUCTION][0])


def test_what_is_decoded_must_be_finite() -> None:
    vae = Family.load(KINDS[0], FLOAT)
    with pytest.raises(FeatureError, match="holds NaN or infinite values; nothing of its shard was kept; try --dtype"):
        vae.decode(torch.full((6, 16), float("nan")), Grid(1, 2, 3))


# Sizes.


@pytest.mark.parametrize("frames", [2, 8, 10, 16])
def test_frames_that_the_vae_would_drop_in_silence_are_refused(frames: int) -> None:
    vae = Family.load(KINDS[0], FLOAT)
    pixels = torch.zeros(1, 3, frames, 32, 32)
    with torch.no_grad():
        assert vae.model.decode(vae.model.encode(pixels).latent_dist.mode()).sample.shape[2] < frames
    near = {2: 1, 8: 9, 10: 9, 16: 17}[frames]
    assert vae.nearest_frames(frames) == near
    with pytest.raises(UsageError, match=f"with {frames} frames is not possible for ltx_vae: .* frames 1 more than a"):
        vae.grid("patch", frames, 64, 64)
    with pytest.raises(UsageError, match="multiples of 32 pixels .* the nearest size is 64 × 96"):
        vae.preprocess([clip(9, 64, 100)], "clip")


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((480, 640), (480, 640)),
        ((100, 300), (128, 320)),  # in whole cells
        ((720, 1280), (448, 800)),  # 22.5 × 40 cells, times √(352 / 900), rounded down
        ((10, 90000), (32, 11264)),
    ],
)
def test_native_sizes(size: tuple[int, int], resized: tuple[int, int]) -> None:
    assert encoders.describe(KINDS[0], FLOAT).native_size(*size) == resized


def test_a_step_less_than_there_should_be_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, encode = Family.load(KINDS[0], FLOAT), Family._encode
    monkeypatch.setattr(Family, "_encode", lambda self, clip: encode(self, clip)[:, 1:])
    with pytest.raises(FeatureError, match=r"^vae\.latent has 6 visual tokens for .* expected the 12 of its grid 2 ×"):
        vae.forward(vae.preprocess([clip(9)], "clip"), [RECONSTRUCTION])


# Configurations.


def test_what_a_configuration_does_not_say_is_what_diffusers_takes() -> None:
    from diffusers import AutoencoderKLLTXVideo

    parameters = inspect.signature(AutoencoderKLLTXVideo).parameters
    own = {name: any(value) if name == "decoder_inject_noise" else value for name, value in latents._UNSAID.items()}
    theirs = {name: parameters[name].default for name in own}
    assert own == {**theirs, "decoder_inject_noise": any(theirs["decoder_inject_noise"])}


def test_grids_follow_from_the_configuration(vae: Family) -> None:
    model = vae.model
    assert (vae.shape.pixels_per_side, vae.shape.frames_per_step) == (32, 8)
    assert (model.spatial_compression_ratio, model.temporal_compression_ratio) == (32, 8)
    small = latents.LatentShape.of({"patch_size": 1, "spatio_temporal_scaling": [True, True, False, False]})
    assert (small.pixels_per_side, small.frames_per_step) == (4, 4)
    # As in 0.9.5, whose blocks halve time and space in turns, so that the ratios are said.
    said = {"spatial_compression_ratio": 32, "temporal_compression_ratio": 8, "spatio_temporal_scaling": [True] * 4}
    assert latents.LatentShape.of(said) == latents.LatentShape.of({})
    with pytest.raises(ModelError, match="the configuration of the VAE cannot be understood"):
        latents.LatentShape.of({"patch_size": "four"})
    with pytest.raises(ModelError, match="has impossible sizes"):
        latents.LatentShape.of({"scaling_factor": 0})


def test_a_cache_says_how_latents_are_normalised_and_pictures_decoded() -> None:
    old, new = (Family.load(kind, FLOAT).identity() for kind in KINDS)
    assert old["latent"] == {
        "kept": "(mean of the posterior - latents_mean) * scaling_factor / latents_std",
        "scaling_factor": 1.0,
    }
    plain = {"tiling": False, "slicing": False, "framewise": False}
    unconditioned = {"timestep_conditioning": False, "timestep": None, "noise_scale": None, "noise_seed": None}
    assert old["decoder"] == {**plain, **unconditioned, "injects_noise": False}
    conditioned = {"timestep_conditioning": True, "timestep": 0.05, "noise_scale": 0.025, "noise_seed": 0}
    assert new["decoder"] == {**plain, **conditioned, "injects_noise": True}


def test_a_kind_of_tiny_model_that_is_not_there() -> None:
    with pytest.raises(UnknownName, match="unknown tiny model 'ltx_vae-0.9'; did you mean 'ltx_vae-0.9.1'"):
        encoders.load("tiny:ltx_vae-0.9", FLOAT)
    with pytest.raises(UnknownName, match="unknown tiny model 'dinov2-0.9.1'; did you mean 'dinov2'"):
        encoders.describe("tiny:dinov2-0.9.1", FLOAT)


# Files.


def test_a_saved_model(saved: Path) -> None:
    loaded: Any = encoders.load(str(saved), FLOAT)
    identity = loaded.identity()
    assert (identity["family"], identity["weights"], identity["seed"]) == ("ltx_vae", "pretrained", None)
    assert identity["latent"]["scaling_factor"] == 0.7
    compare(loaded, 9)
    with torch.no_grad():
        plain = reference.latent(loaded.model, clip(9)) / 0.7
    assert_close(plain, both(Family.load(KINDS[0], FLOAT), clip(9))[0], rtol=1e-5, atol=1e-5)
    twin = encoders.load(f"random:{saved}", FLOAT).identity()
    assert (twin["name"], twin["weights"], twin["seed"]) == ("random:vae", "random", 0)


def test_without_its_reconstruction_the_decoder_is_not_loaded(saved: Path) -> None:
    whole, part = encoders.load(str(saved), FLOAT), encoders.load(str(saved), FLOAT, [LATENT])
    assert part.identity() == whole.identity()
    inputs = whole.preprocess([clip(9)], "clip")
    assert torch.equal(part.forward(inputs, [LATENT])[LATENT][0], whole.forward(inputs, [LATENT])[LATENT][0])
    with pytest.raises(ModelError, match=r"vae\.reconstruction was not loaded"):
        part.forward(inputs, [RECONSTRUCTION])


def without(*names: str) -> Callable[[Path], None]:
    def remove(path: Path) -> None:
        stored = load_file(path / WEIGHTS)
        save_file({name: tensor for name, tensor in stored.items() if name not in names}, path / WEIGHTS)

    return remove


def renamed(path: Path) -> None:
    (path / WEIGHTS).rename(path / "diffusion_pytorch_model.bin")


def with_setting(name: str, value: Any) -> Callable[[Path], None]:
    return lambda path: edit(path, lambda config: config.update({name: value}))


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "another VAE": (
        with_setting("_class_name", "AutoencoderKL"),
        r"is of the type 'AutoencoderKL', which is not supported; take the VAE of LTX-Video \(AutoencoderKLLTXVideo\)",
    ),
    "no statistics": (
        without("latents_mean", "latents_std"),
        "lack latents_mean and latents_std, by which latents are normalised; take the weights as diffusers has them",
    ),
    "one of the statistics": (without("latents_std"), "lack latents_std, by which latents are normalised"),
    "a tensor": (
        without("encoder.conv_in.conv.bias"),
        r"lack 1 tensor of AutoencoderKLLTXVideo, such as encoder\.conv_in\.conv\.bias",
    ),
    "another width": (with_setting("latent_channels", 8), r"do not fit its config\.json"),
    "no decoder for it": (with_setting("decoder_layers_per_block", [0, 0, 0, 0, 0]), "are no part of Autoencoder"),
    "pickle": (renamed, r"has no \*\.safetensors weights but diffusion_pytorch_model\.bin, PyTorch's pickle format"),
    "a setting of a later diffusers": (
        with_setting("rotary", True),
        r"the configuration of .*copy has 'rotary', which AutoencoderKLLTXVideo of diffusers \S+ does not know",
    ),
    "blocks that do not fit": (
        with_setting("decoder_layers_per_block", [1]),
        r"the configuration of .*copy does not make AutoencoderKLLTXVideo: tuple index out of range",
    ),
    "quantised": (with_setting("quantization_config", {"quant_method": "torchao"}), "is of quantised weights"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_no_such_vae_is_one_sentence(copy: Path, damage: str) -> None:
    change, told = DAMAGED[damage]
    change(copy)
    with pytest.raises(ModelError, match=told) as caught:
        encoders.load(str(copy), FLOAT)
    assert "\n" not in str(caught.value)


def test_the_folder_of_a_pipeline_on_the_hub(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network, from the hub's cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    place, commit = tmp_path / "hub" / "models--lab--video", "a" * 40
    shutil.copytree(saved, place / "snapshots" / commit / "vae")
    (place / "snapshots" / commit / "model_index.json").write_text("{}")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    for text in ("lab/video/vae", f"lab/video/vae@{commit}"):
        identity = encoders.load(text, FLOAT, [LATENT]).identity()
        assert (identity["name"], identity["revision"]) == ("lab/video/vae", commit)
    with pytest.raises(ModelError, match="a pipeline of diffusers and not one model; name the folder of a model in it"):
        encoders.load(str(place / "snapshots" / commit), FLOAT)


@pytest.mark.parametrize(
    ("options", "flag"),
    [({"attention": "eager"}, "--attn"), ({"compiled": True}, "--compile"), ({"device_map": "auto"}, "--device-map")],
)
def test_options_that_say_nothing_to_a_vae(options: dict[str, Any], flag: str) -> None:
    with pytest.raises(UsageError, match=f"{flag}.* is not possible for ltx_vae, which is one network of convolutions"):
        encoders.load(KINDS[0], LoadOptions(device="cpu", **options))


def test_without_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusers_models, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"model family ltx_vae needs .*pip install 'foresight-cache\[diffusers\]'"):
        encoders.load(KINDS[0], FLOAT)
    assert encoders.describe(KINDS[0], FLOAT).taps[0].width == 16, "sizes are known without it"


def test_readouts_of_a_picture_are_refused() -> None:
    vae = Family.load(KINDS[0], FLOAT)
    inputs = vae.preprocess([clip(1)], "clip")
    with pytest.raises(UsageError, match=r"vae\.reconstruction@mean is not possible: .* is a picture and kept whole"):
        vae.forward(inputs, ["vae.reconstruction@mean"])
    with pytest.raises(UsageError, match=r"vae\.latent@cls is not possible: a class token is there at no tap"):
        vae.forward(inputs, ["vae.latent@cls"])
