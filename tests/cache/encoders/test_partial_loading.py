"""Parts of models: nothing more is loaded than taps need, and it is the same as in the whole model."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.encoders.weights.loading import NotLoaded
from foresight_cache.errors import ModelError
from tests.support.order_proofs import make, tokens

FLOAT = LoadOptions(dtype="float32", device="cpu")
BATCH = "three of a size"


@pytest.fixture(scope="session")
def saved(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole model as a directory, with all that it has beside its taps."""
    path = tmp_path_factory.mktemp("whole") / encoder.family
    encoder.model.save_pretrained(path)  # type: ignore[attr-defined]
    if processor := getattr(encoder, "processor", None):
        processor.save_pretrained(path)
    return path


def weights_in(path: Path) -> str:
    (file,) = path.glob("*.safetensors")
    return file.name


def loaded(encoder: Encoder) -> set[str]:
    model: torch.nn.Module = encoder.model  # type: ignore[attr-defined]
    return {name for name, _ in (*model.named_parameters(), *model.named_buffers())}


def first(encoder: Encoder) -> str:
    return encoder.taps[0].name


def pair(encoder: Encoder) -> tuple[str, str]:
    """Two taps, the second one of which is deeper by one."""
    names = [tap.name for tap in encoder.taps]
    start = names.index("vit.block_02") if "vit.block_02" in names else 0
    return names[start], names[start + 1]


def deepest(encoder: Encoder) -> list[str]:
    """A tap of every kind."""
    names = [tap.name for tap in encoder.taps]
    kinds = ("vit.patch_embed", "vit.block_02", "vit.pre_merge", "vit.post_merge", "llm.embed", "llm.layer_02")
    return [name for name in (*kinds, names[-1]) if name in names]


def test_a_part_gives_what_the_whole_gives(encoder: Encoder, saved: Path) -> None:
    clips, media = make(encoder, BATCH)
    for tap in deepest(encoder):
        part = encoders.load(str(saved), FLOAT, [first(encoder), tap])
        expected = tokens(encoder, clips, media, first(encoder), tap)
        assert_close(tokens(part, clips, media, first(encoder), tap), expected, rtol=0, atol=0)


def test_what_lies_deeper_is_not_read(encoder: Encoder, saved: Path, tmp_path: Path) -> None:
    """With NaN in all weights that are deeper, nothing is NaN; with these weights removed, nothing is missing."""
    clips, media = make(encoder, "one unit")
    weights = weights_in(saved)
    whole = load_file(saved / weights)
    for number, tap in enumerate(deepest(encoder)):
        path = tmp_path / str(number)
        path.mkdir()
        for file in saved.iterdir():
            if file.name != weights:
                (path / file.name).write_bytes(file.read_bytes())
        kept = loaded(encoders.load(str(saved), FLOAT, [tap]))
        needed = {name for name in whole if any(same(name, other) for other in kept)}
        spoilt = {k: v if k in needed else torch.full_like(v, torch.nan) for k, v in whole.items()}
        save_file(spoilt, path / weights, {"format": "pt"})
        part = encoders.load(str(path), FLOAT, [tap])
        assert all(parameter.isfinite().all() for parameter in part.model.parameters())  # type: ignore[attr-defined]
        assert tokens(part, clips, media, tap)[tap][0].isfinite().all()
        save_file({k: v for k, v in whole.items() if k in needed}, path / weights, {"format": "pt"})
        assert loaded(encoders.load(str(path), FLOAT, [tap])) == kept


def same(stored: str, held: str) -> bool:
    """Returns True where a name in a file is that of a parameter, which transformers may prefix or not."""
    return stored == held or stored.endswith(f".{held}") or held.endswith(f".{stored}")


@pytest.mark.parametrize(
    ("tap", "absent"),
    [
        ("vit.patch_embed", ("blocks.0.", "layers.0.", "layer.0.", "merger", "projector", "language_model", "lm_head")),
        ("vit.block_02", ("blocks.2.", "layers.2.", "layer.2.", "merger.ln", "projector", "language_model", "lm_head")),
        ("vit.post_merge", ("deepstack", "language_model", "lm_head")),
        ("llm.embed", ("language_model.layers.", "language_model.norm", "lm_head")),
        ("llm.layer_02", ("language_model.layers.2.", "language_model.layers.3.", "language_model.norm", "lm_head")),
    ],
)
def test_the_modules_of_deeper_taps_are_left_out(encoder: Encoder, tap: str, absent: tuple[str, ...]) -> None:
    if tap not in {other.name for other in encoder.taps}:
        return
    part = loaded(encoders.load(f"tiny:{encoder.family}", FLOAT, [tap]))
    whole = loaded(encoders.load(f"tiny:{encoder.family}", FLOAT))
    assert part < whole
    assert not [name for name in part if any(word in name for word in absent)]


def test_a_deeper_tap_than_was_loaded_is_refused(encoder: Encoder) -> None:
    tap, deeper = pair(encoder)
    part = encoders.load(f"tiny:{encoder.family}", FLOAT, [tap])
    inputs = part.preprocess(*make(encoder, "one unit"))
    with pytest.raises(ModelError, match=f"{deeper} was not loaded; load the model with all taps"):
        part.forward(inputs, [deeper])
    with pytest.raises(ModelError, match="a part of the model that was not loaded was run"):
        NotLoaded()()


def test_a_part_has_the_identity_of_the_whole(encoder: Encoder, saved: Path) -> None:
    """A cache grows by points that need more of the model, so that the fingerprint must not tell."""
    for model in (f"tiny:{encoder.family}", str(saved)):
        assert encoders.load(model, FLOAT, [first(encoder)]).identity() == encoders.load(model, FLOAT).identity()


def test_a_description_needs_the_configuration_alone(encoder: Encoder, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
    described = encoders.describe(str(tmp_path), FLOAT)
    assert described.taps == encoder.taps
    size = encoder.nearest_size(100, 130)
    assert described.nearest_size(100, 130) == size
    assert described.grid("patch", 1, *size) == encoder.grid("patch", 1, *size)
    with pytest.raises(ModelError, match="was not loaded"):
        described.forward({}, [first(encoder)])


# Random twins.


def test_a_random_twin_is_the_true_configuration_with_seeded_weights(encoder: Encoder, saved: Path) -> None:
    twin = encoders.load(f"random:{saved}", FLOAT)
    tap, _ = pair(encoder)
    again = encoders.load(f"random:{saved}", FLOAT, [tap])
    clips, media = make(encoder, BATCH)
    assert_close(tokens(twin, clips, media, tap), tokens(again, clips, media, tap), rtol=0, atol=0)
    identity = twin.identity()
    assert (identity["name"], identity["weights"], identity["seed"]) == (f"random:{encoder.family}", "random", 0)
    assert again.identity() == identity
    assert identity["config_digest"] == encoders.load(str(saved), FLOAT).identity()["config_digest"]


def test_no_two_random_weights_are_alike(encoder: Encoder) -> None:
    """Norms keep their ones; all else is drawn, and blocks differ."""
    drawn = [value for _, value in encoder.model.named_parameters() if value.unique().numel() > 1]  # type: ignore[attr-defined]
    firsts = [tuple(value.flatten()[:4].tolist()) for value in drawn if value.numel() >= 4]
    assert len(set(firsts)) == len(firsts)


def test_a_random_twin_needs_no_weights_on_disk(encoder: Encoder, saved: Path, tmp_path: Path) -> None:
    for file in saved.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert encoders.load(f"random:{tmp_path}", FLOAT, [first(encoder)]).identity()["weights"] == "random"


def test_weights_of_other_seeds_are_others(encoder: Encoder, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from foresight_cache.encoders.weights import tiny_models

    before = loaded_values(encoders.load(f"random:{saved}", FLOAT, [first(encoder)]))
    monkeypatch.setattr(tiny_models, "SEED", 1)
    after = encoders.load(f"random:{saved}", FLOAT, [first(encoder)])
    assert after.identity()["seed"] == 1
    assert before
    assert all(not torch.equal(before[name], value) for name, value in loaded_values(after).items())


def loaded_values(encoder: Encoder) -> dict[str, torch.Tensor]:
    """Weights of the patch embedding, or of a first convolution."""
    named_parameters: Callable[[], object] = encoder.model.named_parameters  # type: ignore[attr-defined]
    return {name: value for name, value in named_parameters() if "patch_embed" in name or "conv_in" in name}  # type: ignore[attr-defined]
