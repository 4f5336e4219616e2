"""`foresight adapter train` as its user meets it, the decoder that it holds to the cache, and what is refused."""

import json
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet
import pytest

from foresight_cache import open_cache
from foresight_cache.errors import UsageError
from foresight_probes.adapters.decoder import Decoder
from tests.support import planted_adapters as planted
from tests.support.command import foresight, said, with_options
from tests.support.made_clips import encode
from tests.support.preparing import prepare

VAE = ("--model", "tiny:ltx_vae", "--points", "vae.*", "--device", "cpu")
TRAINING = ("--folds", 3, "--capacity", 0.02, "--epochs", 30, "--batch-size", 4, "--lr", 0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adapters")
    assert foresight("prepare", "bouncing-balls", "--limit", 9, "--out", root / "S").returncode == 0
    run = foresight("extract", root / "S", *VAE, "--size", 32, "--frames", 9, "--out", root / "V")
    assert run.returncode == 0, run.stderr
    return root


@pytest.fixture(scope="module")
def words(folder: Path) -> list[object]:
    """From the latents themselves: what is predicted is known, and the oracle within reach."""
    own = [folder / "V", "--latents", folder / "V", "--points", "vae.latent", "--device", "cpu"]
    return ["adapter", "train", *own, *TRAINING]


def test_latents_are_found_in_latents_and_decoded(folder: Path, words: list[object]) -> None:
    run = foresight(*words, "--prune", "0.5", "--lpips-weights", folder, "--out", folder / "O", "--json")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told == json.loads((folder / "O/adapters.json").read_text())
    (own,) = told["runs"]
    metrics = own["metrics"]
    assert metrics["adapter"]["r2"]["value"] > 0.4
    assert metrics["mean_latent"]["r2"]["value"] == 0
    for name in ("psnr", "ssim", "edge_f1", "neighbour_ssim", "frame_difference_error"):
        adapter, oracle, gap = (metrics[what][name]["value"] for what in ("adapter", "oracle", "gap_to_oracle"))
        assert gap == pytest.approx(adapter - oracle)
    assert "lpips" not in metrics["adapter"]
    assert "LPIPS needs the weights of torchvision's alexnet" in own["not_measured"]["lpips"]
    assert "lpips is not measured: LPIPS needs the weights" in run.stderr
    assert "undecided, too few groups: 9, needs about 50" in run.stderr
    assert [each["tokens"] for each in own["pruning"]] == [1]
    result = folder / "O" / own["result"]
    table = pyarrow.parquet.read_table(result.with_suffix(".parquet")).to_pandas()
    assert sorted(table["id"]) == sorted(open_cache(folder / "V").samples["id"])
    assert all(len(frames) == 9 for frames in table["adapter.psnr_by_frame"])
    assert np.mean([np.mean(frames) for frames in table["oracle.psnr_by_frame"]]) == pytest.approx(
        metrics["oracle"]["psnr"]["value"]
    )
    away = [np.abs(table[f"{what}.psnr"] - table["oracle.psnr"]).mean() for what in ("adapter", "mean_latent")]
    assert away[0] < away[1], "what is decoded is nearer to the oracle than the decoded mean"


def test_a_second_call_trains_and_decodes_nothing(
    folder: Path, words: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr("foresight_probes.adapters.training.Training.fit", never)
    monkeypatch.setattr("foresight_probes.adapters.decoder.Decoder.__init__", never)
    files = {path: path.stat().st_mtime_ns for path in (folder / "O").rglob("*") if path.name != "adapters.json"}
    run = foresight(*words, "--prune", "0.5", "--lpips-weights", folder, "--out", folder / "O")
    assert run.returncode == 0, run.stderr
    assert "vae.latent" in run.stdout
    assert "PSNR (oracle)" in run.stdout
    assert "R² of the tokens of the largest norm: 1 tokens" in run.stdout
    assert files == {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        (["--adapter", "mpl"], 2, "unknown adapter 'mpl'; did you mean 'mlp'"),
        (["--points", "pixels"], 2, "pixels of"),
        (["--adapter", "dual-stream"], 2, "dual-stream takes 2 points"),
        (["--capacity", "five"], 2, "--capacity is 'five', expected numbers with commas between them"),
        (["--capacity", "0"], 2, "--capacity is '0', expected numbers above 0"),
        (["--prune", "2"], 2, "share 2 of tokens is not possible"),
        (["--folds", 10], 1, "cannot be divided into 10 folds"),
        (["--epochs", 0], 2, "epochs is 0"),
        (["--vae", "tiny:ltx_vae-0.9.1"], 2, "the VAE tiny:ltx_vae-0.9.1 is not the one of"),
        (["--latents", "nowhere"], 1, "holds no cache"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(
    folder: Path, words: list[object], more: list[object], status: int, told: str
) -> None:
    usual = [*words, "--out", folder / "never"]
    assert told in said(*with_options(usual, more), status=status)
    assert not (folder / "never").exists()


def test_a_cached_latent_is_decoded_to_the_cached_picture(folder: Path) -> None:
    """And another normalisation and another time axis are not taken for it."""
    cache = open_cache(folder / "V")
    decoder = Decoder(cache, device="cpu")
    decoder.check(cache, 0)
    latent, grid = cache["vae.latent"][1], cache["vae.latent"].grid_of(1)
    there = cache["vae.reconstruction"].grid(1)
    np.testing.assert_array_equal(decoder(latent, grid), there)
    turned = latent.reshape(*grid, -1)[::-1].reshape(latent.shape)
    assert np.abs(decoder(turned, grid).astype(int) - there).mean() > 1
    statistics = decoder._family._normalisation
    object.__setattr__(statistics, "mean_D", statistics.mean_D + 0.5)
    with pytest.raises(UsageError, match=r"makes another picture of vae.latent than vae.reconstruction"):
        decoder.check(cache, 0)


def test_only_latents_of_the_vae_are_decoded(tmp_path: Path) -> None:
    latents = planted.write_latents(tmp_path / "L", np.zeros((2, 8, 3), np.float32))
    with pytest.raises(UsageError, match="has latents of None, and only those of 'ltx_vae' can be decoded"):
        Decoder(latents, device="cpu")


@pytest.mark.slow
def test_real_clips_from_tokens_of_a_language_model_to_pictures(assets: Path, tmp_path: Path) -> None:
    """Short clips of three videos, each tested once, LPIPS from real weights; two streams of one model in latents."""
    for source in sorted((assets / "data/videos").iterdir())[:3]:
        with av.open(str(source)) as video:
            pictures = [frame.reformat(224, 224) for frame in islice(video.decode(video=0), 9)]
        target = tmp_path / "raw" / f"{source.stem}.mp4"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(encode(picture.to_ndarray(format="rgb24").astype(np.uint8) for picture in pictures))
    prepare("video-folder", root=tmp_path / "raw", out=tmp_path / "S")
    usual = ("--size", 224, "--frames", 9)
    tokens = ("--model", "tiny:qwen2_5_vl", "--points", "vit.pre_merge,llm.layer_02", "--device", "cpu")
    for words, out in ((VAE, "V"), (tokens, "Q")):
        run = foresight("extract", tmp_path / "S", *words, *usual, "--out", tmp_path / out)
        assert run.returncode == 0, run.stderr
    training = ("--latents", tmp_path / "V", "--epochs", 4, "--capacity", 0.1, "--folds", 3, "--device", "cpu")
    common = ("adapter", "train", tmp_path / "Q", *training, "--out", tmp_path / "O", "--json")
    pictured = ("--points", "vit.pre_merge", "--lpips-weights", assets / "models/lpips")
    run = foresight(*common, *pictured)
    assert run.returncode == 0, run.stderr
    (own,) = json.loads(run.stdout)["runs"]
    assert own["samples"] == own["effective_groups"] == 3
    assert own["not_measured"] == {}
    measured = {"psnr", "ssim", "lpips", "edge_f1", "neighbour_ssim", "frame_difference_error"}
    assert own["metrics"]["oracle"].keys() == own["metrics"]["gap_to_oracle"].keys() == measured
    assert "undecided, too few groups: 3" in run.stderr
    run = foresight(*common, "--points", "vit.pre_merge+llm.layer_02", "--adapter", "dual-stream", "--no-decode")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert [each["left_out"] for each in told["runs"]] == [None, 0, 1]
    assert {each["stream"] for each in told["contributions"]} == {"vit.pre_merge", "llm.layer_02"}
