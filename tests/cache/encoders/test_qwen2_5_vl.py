"""What is particular to Qwen2.5-VL, and controls that the order proofs can fail."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions, Tap
from foresight_cache.encoders.capture import order
from foresight_cache.encoders.qwen2_5_vl import Family
from foresight_cache.encoders.weights import model_files
from foresight_cache.errors import BadSample, ModelError, UsageError
from foresight_cache.samples import Grid
from tests.support.order_proofs import PROOFS, make, tokens
from tests.support.references import qwen as reference

FLOAT = LoadOptions(dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def qwen() -> Family:
    return Family.load("tiny:qwen2_5_vl", FLOAT)


@pytest.fixture(scope="module")
def saved(qwen: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    qwen.model.save_pretrained(path)
    qwen.processor.save_pretrained(path)
    return path


# Controls: with one correction taken away, these proofs fail and no other.


def leave_merge_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    def raster(grids: list[Grid], merge: int) -> torch.Tensor:
        return torch.arange(sum(grid.tokens for grid in grids))

    monkeypatch.setattr(order, "merge_group_order", raster)


def leave_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_order(self: Family, grids: list[Grid]) -> torch.Tensor:
        return torch.arange(sum(grid.tokens for grid in grids) // 4)

    monkeypatch.setattr(Family, "window_units", in_order)


def apply_windows_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "inverse", lambda places: places)


def leave(*taps: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Tokens of these taps as a plain forward hook returns them."""

    def change(monkeypatch: pytest.MonkeyPatch) -> None:
        correct = Family.vision_tokens

        def plain(self: Family, tap: Tap, hidden: Any, inputs: Any) -> Any:
            samples = correct(self, tap, hidden, inputs)
            return list(hidden.split([len(sample) for sample in samples])) if tap.name in taps else samples

        monkeypatch.setattr(Family, "vision_tokens", plain)

    return change


MISTAKES = {
    "merge groups left": (leave_merge_groups, {"patch embedding", "merger", "tower", "windowed tower"}),
    "windows left": (leave_windows, {"merger", "tower", "windowed tower"}),
    "permuted instead of restored": (apply_windows_again, {"patch embedding", "merger", "tower", "windowed tower"}),
    "patch embedding as hooked": (leave("vit.patch_embed"), {"patch embedding", "tower", "windowed tower"}),
    "pre-merge as hooked": (leave("vit.pre_merge"), {"merger", "tower", "windowed tower"}),
    "post-merge as hooked": (leave("vit.post_merge"), {"merger", "tower", "windowed tower"}),
    "a block as hooked": (leave("vit.block_03"), {"tower", "windowed tower"}),
}


@pytest.mark.parametrize("batch", ["mixed sizes", "mixed clips"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_missing_correction_fails_its_proofs(
    qwen: Family, monkeypatch: pytest.MonkeyPatch, mistake: str, batch: str
) -> None:
    break_it, expected = MISTAKES[mistake]
    break_it(monkeypatch)
    clips, media = make(qwen, batch)
    failed = set()
    for name, proof in PROOFS.items():
        try:
            proof(qwen, reference, clips, media)  # type: ignore[arg-type]
        except AssertionError:
            failed.add(name)
    assert failed == expected


def test_a_last_layer_taken_after_the_norm_fails_its_proof(qwen: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    taps = [replace(tap, module="language_model.norm") if tap.name == "llm.layer_04" else tap for tap in qwen.taps]
    monkeypatch.setattr(qwen, "taps", tuple(taps))
    with pytest.raises(AssertionError, match="after the norm"):
        PROOFS["language model"](qwen, reference, *make(qwen, "square"))  # type: ignore[arg-type]


# What runs, and what does not.


@contextmanager
def forbidden(*modules: nn.Module) -> Iterator[None]:
    """Running any of these modules is an error."""

    def refuse(module: nn.Module, _args: object) -> None:
        raise AssertionError(f"{type(module).__name__} ran")

    handles = [module.register_forward_pre_hook(refuse) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def test_logits_are_never_computed(qwen: Family) -> None:
    with forbidden(qwen.model.lm_head):
        tokens(qwen, *make(qwen, "square"), *(tap.name for tap in qwen.taps))


def test_vision_taps_never_run_the_language_model(qwen: Family) -> None:
    language = qwen.model.model.language_model
    with forbidden(language, language.embed_tokens, *language.layers):
        tokens(qwen, *make(qwen, "square"), *(tap.name for tap in qwen.taps if tap.name.startswith("vit.")))


def test_a_forbidden_module_is_noticed(qwen: Family) -> None:
    with forbidden(qwen.model.model.language_model), pytest.raises(AssertionError, match="TextModel ran"):
        tokens(qwen, *make(qwen, "one unit"), "llm.embed")


@pytest.mark.parametrize(
    ("tap", "deeper"),
    [
        ("vit.patch_embed", "visual.blocks.0"),
        ("vit.block_03", "visual.blocks.3"),
        ("vit.pre_merge", "visual.merger"),
        ("vit.post_merge", "language_model"),
        ("llm.embed", "language_model.layers.0"),
        ("llm.layer_02", "language_model.layers.2"),
        ("llm.layer_04", "language_model.norm"),
    ],
)
def test_nothing_deeper_than_the_deepest_tap_runs(qwen: Family, tap: str, deeper: str) -> None:
    # Running the module's inside counts; the pre-hook that captures its input does not.
    inside = [part for part in qwen.model.model.get_submodule(deeper).modules() if not list(part.children())]
    with forbidden(*inside):
        tokens(qwen, *make(qwen, "one unit"), "vit.patch_embed", tap)


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_hooks_are_gone_afterwards_also_after_an_error(qwen: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, media = make(qwen, "one unit")
    before = hooks(qwen.model)
    tokens(qwen, clips, media, "vit.block_01", "llm.layer_01")
    assert hooks(qwen.model) == before

    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(qwen.model.model.visual.blocks[2], "forward", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        tokens(qwen, clips, media, "vit.block_01", "llm.layer_01")
    assert hooks(qwen.model) == before


# The prompt and positions.


def test_the_prompt_is_the_real_processors_up_to_the_last_visual_token(qwen: Family) -> None:
    clips, media = make(qwen, "mixed sizes")
    mine = qwen.preprocess(clips, media)
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Describe the image."}]}
    text = qwen.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    for number, clip in enumerate(clips):
        theirs = qwen.processor(text=[text], images=[clip[0]], do_resize=False)["input_ids"][0]
        last = max(place for place, token in enumerate(theirs) if token == qwen.model.config.image_token_id)
        row = mine["input_ids"][number][mine["attention_mask"][number].bool()]
        assert row.tolist() == list(theirs)[: last + 1]
        assert mine["attention_mask"][number].tolist() == sorted(mine["attention_mask"][number].tolist(), reverse=True)


def test_temporal_positions_of_a_clip_advance_with_its_seconds(qwen: Family) -> None:
    """Two frames a step at two frames a second is one second, which is two positions."""
    inputs = qwen.preprocess([np.zeros((6, 28, 56, 3), np.uint8)], "clip")
    seen: dict[str, torch.Tensor] = {}
    handle = qwen.model.model.language_model.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.update(kwargs), with_kwargs=True
    )
    try:
        qwen.forward(inputs, ["llm.embed"])
    finally:
        handle.remove()
    start = inputs["input_ids"].shape[1] - 6
    positions = seen["position_ids"][:, 0, start:] - start
    assert positions.tolist() == [[0, 0, 2, 2, 4, 4], [0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1]]


def test_an_odd_clip_repeats_its_last_frame(qwen: Family) -> None:
    clips, media = make(qwen, "clip of odd length")
    padded = [np.concatenate([clip, clip[-1:]]) for clip in clips]
    names = [tap.name for tap in qwen.taps]
    assert_close(tokens(qwen, clips, media, *names), tokens(qwen, padded, media, *names))


def test_an_image_is_a_clip_of_one_frame_to_the_tower(qwen: Family) -> None:
    clips, _ = make(qwen, "ragged windows")
    assert_close(tokens(qwen, clips, "clip", "vit.post_merge"), tokens(qwen, clips, "image", "vit.post_merge"))


def test_an_image_has_one_frame(qwen: Family) -> None:
    with pytest.raises(UsageError, match="exactly one frame"):
        qwen.preprocess([np.zeros((2, 28, 28, 3), np.uint8)], "image")


# Sizes.


def test_taps_grids_and_sizes_are_those_of_the_architecture(qwen: Family) -> None:
    names = [tap.name for tap in qwen.taps]
    blocks, layers = [f"vit.block_{k:02d}" for k in range(1, 9)], [f"llm.layer_{k:02d}" for k in range(1, 5)]
    ends = ["vit.pre_merge", "vit.post_merge", "llm.embed"]
    assert names == ["vit.patch_embed", *blocks, *ends, *layers, "llm.final_norm"]
    assert qwen.grid("patch", 1, 448, 672) == Grid(1, 32, 48)
    assert qwen.grid("merged", 5, 448, 672) == Grid(3, 16, 24)
    assert qwen.native_size(480, 640) == (476, 644)


def test_a_strip_is_a_bad_sample(qwen: Family) -> None:
    with pytest.raises(BadSample, match="10×2001 pixels is too narrow"):
        qwen.native_size(10, 2001)


def test_an_impossible_size_names_the_nearest(qwen: Family) -> None:
    with pytest.raises(UsageError) as caught:
        qwen.grid("patch", 1, 450, 640)
    assert str(caught.value) == (
        "size 450 × 640 with 1 frames is not possible for qwen2_5_vl: height and width must be multiples of 28 pixels "
        "and frames at least 1; the nearest size is 448 × 644"
    )


# From a directory.


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_saved_model_gives_the_same_features(saved: Path, dtype: Any) -> None:
    options = LoadOptions(dtype=dtype, device="cpu")
    tiny, loaded = Family.load("tiny:qwen2_5_vl", options), encoders.load(str(saved), options)
    assert isinstance(loaded, Family)
    names = [tap.name for tap in tiny.taps]
    for batch in ("mixed sizes", "mixed clips"):
        clips, media = make(tiny, batch)
        expected, found = tokens(tiny, clips, media, *names), tokens(loaded, clips, media, *names)
        assert_close(found, expected, rtol=0, atol=0)


def test_identity_of_a_saved_model(qwen: Family, saved: Path) -> None:
    identity = Family.load(str(saved), FLOAT).identity()
    differing = {name for name, value in qwen.identity().items() if value != identity[name]}
    assert differing == {"name", "weights_digest"}
    assert identity["name"] == "tiny"
    assert identity["weights"] == "random"
    assert identity["weights_digest"] == model_files.weights_digest(saved)


def test_a_trained_model_is_said_to_be_pretrained(saved: Path, tmp_path: Path) -> None:
    path = shutil.copytree(saved, tmp_path / "trained")
    config = json.loads((path / "config.json").read_text())
    del config["random_weights_seed"]
    (path / "config.json").write_text(json.dumps(config))
    identity = Family.load(str(path), FLOAT).identity()
    assert (identity["weights"], identity["seed"]) == ("pretrained", None)


def test_prompt_and_processor_are_part_of_the_identity(qwen: Family) -> None:
    other = Family.load("tiny:qwen2_5_vl", LoadOptions(dtype="float32", device="cpu", prompt="What is this?"))
    assert other.identity()["prompt"] == "What is this?"
    other.processor.image_processor.image_mean = [0.5, 0.5, 0.5]
    assert other.identity()["image_processor"] != qwen.identity()["image_processor"]


def drop_weights(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def cut_weights(path: Path) -> None:
    data = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(data[: len(data) // 2])


def drop_tensors(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "merger" not in name}
    save_file(kept, path / "model.safetensors", {"format": "pt"})


def drop_template(path: Path) -> None:
    (path / "chat_template.jinja").unlink()


def break_template(path: Path) -> None:
    (path / "chat_template.jinja").write_text("{% for %}")


def drop_placeholder(path: Path) -> None:
    (path / "chat_template.jinja").write_text("{{ messages[0].role }}")


def drop_tokenizer(path: Path) -> None:
    (path / "tokenizer.json").unlink()
    (path / "tokenizer_config.json").unlink()


def drop_processor(path: Path) -> None:
    (path / "processor_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_weights, r"has no \*\.safetensors weights; .* convert the model to safetensors first"),
        (cut_weights, "do not load as Qwen2_5_VLForConditionalGeneration"),
        (drop_tensors, "lack .* tensors of Qwen2_5_VLForConditionalGeneration, such as .*merger"),
        (drop_template, "chat template of this qwen2_5_vl cannot be used"),
        (break_template, "chat template of this qwen2_5_vl cannot be used"),
        (drop_placeholder, "has no image token 268: its tokenizer or its chat template is not the model's own"),
        (drop_tokenizer, "has no image token 268: its tokenizer or its chat template is not the model's own"),
        (drop_processor, "has no usable Qwen2_5_VLProcessor"),
    ],
)
def test_a_damaged_directory_is_one_sentence(
    saved: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    path = shutil.copytree(saved, tmp_path / "damaged")
    damage(path)
    with pytest.raises(ModelError, match=message) as caught:
        encoders.load(str(path), FLOAT)
    assert "\n" not in str(caught.value)
