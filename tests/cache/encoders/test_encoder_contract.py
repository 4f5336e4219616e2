"""The contract of all model families. A new file in `foresight_cache/encoders` is held to all of this by itself."""

import json
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import Encoder, LoadOptions, Tap, TapLevel
from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.samples import Grid, Media
from tests.support.order_proofs import BATCHES, PROOFS, make, tokens


def token_taps(encoder: Encoder) -> list[Tap]:
    """All taps but those at which a model makes a picture."""
    return [tap for tap in encoder.taps if tap.level != "pixel"]


def names(encoder: Encoder) -> list[str]:
    return [tap.name for tap in token_taps(encoder)]


def levels(encoder: Encoder) -> list[TapLevel]:
    return list(dict.fromkeys(tap.level for tap in token_taps(encoder)))


def batch_of(encoder: Encoder, batch: str) -> tuple[list[np.ndarray], Media]:
    """Makes a batch, as `make` does; a family without a video path is held to refuse clips."""
    clips, media = make(encoder, batch)
    if media not in encoder.media:
        with pytest.raises(UsageError, match="takes images only"):
            encoder.preprocess(clips, media)
        pytest.skip(f"{encoder.family} takes images only")
    return clips, media


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("proof", PROOFS)
def test_order_is_proved_against_the_model_run_by_hand(
    encoder: Encoder, reference: ModuleType, proof: str, batch: str
) -> None:
    PROOFS[proof](encoder, reference, *batch_of(encoder, batch))


@pytest.mark.parametrize("proof", PROOFS)
def test_proofs_fail_where_rows_and_columns_are_exchanged(
    encoder: Encoder, reference: ModuleType, proof: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control for every family: a proof that passes here proves nothing."""
    correct = type(encoder).raster_tokens

    def exchanged(self: Encoder, tap: Tap, *others: Any) -> list[torch.Tensor]:
        samples = correct(self, tap, *others)
        sides = [round(len(sample) ** 0.5) for sample in samples]
        return [s.unflatten(0, (n, n)).transpose(0, 1).flatten(0, 1) for s, n in zip(samples, sides, strict=True)]

    monkeypatch.setattr(type(encoder), "raster_tokens", exchanged)
    clips, media = make(encoder, "square")
    needed = {"patch embedding": "vit.patch_embed", "merger": "vit.post_merge", "language model": "llm.embed"}
    if needed.get(proof, names(encoder)[0]) in names(encoder):
        with pytest.raises(AssertionError):
            PROOFS[proof](encoder, reference, clips, media)


@pytest.mark.parametrize(("media", "size"), [("image", (1, 5, 6)), ("clip", (4, 2, 5))])
def test_a_changed_cell_changes_its_own_token_most(encoder: Encoder, media: Media, size: tuple[int, int, int]) -> None:
    """Knows nothing of the family: noise in one cell of the grid must show at that raster index, at every tap."""
    if media not in encoder.media:
        pytest.skip(f"{encoder.family} takes images only")
    frames = encoder.nearest_frames(size[0])
    height, width = encoder.nearest_size(*(side * encoder.patch_multiple for side in size[1:]))
    draw = np.random.default_rng(3)
    plain = draw.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    for level in levels(encoder):
        taps = [tap.name for tap in encoder.taps if tap.level == level]
        grid = encoder.grid(level, frames, height, width)
        cells = draw.permutation(grid.tokens)[:24]
        changed = [change_cell(encoder, plain, grid, int(cell), draw) for cell in cells]
        for tap, samples in tokens(encoder, [plain, *changed], media, *taps).items():
            differences = [(sample - samples[0]).norm(dim=1).argmax().item() for sample in samples[1:]]
            assert differences == cells.tolist(), f"{tap} is not in raster order"


def change_cell(encoder: Encoder, clip: np.ndarray, grid: Grid, cell: int, draw: np.random.Generator) -> np.ndarray:
    """The clip with new noise where token number `cell` looks, in all frames of its temporal step."""
    t, y, x = cell // (grid.h * grid.w), cell // grid.w % grid.h, cell % grid.w
    frames, side = len(clip) // grid.t, clip.shape[1] // grid.h
    if grid.h == clip.shape[1] // encoder.patch_multiple:
        side = encoder.patch_multiple  # where the size is no multiple of it, some pixels are left
    elif encoder.family == "molmo2":
        side = 2 * encoder.patch_multiple  # the last row and column have one patch of two
    changed = clip.copy()
    cell_THWC = changed[t * frames : (t + 1) * frames, y * side : (y + 1) * side, x * side : (x + 1) * side]
    cell_THWC[...] = draw.integers(0, 256, cell_THWC.shape, dtype=np.uint8)
    return changed


@pytest.mark.parametrize("batch", BATCHES)
def test_every_tap_gives_each_sample_its_grid_and_width(encoder: Encoder, batch: str) -> None:
    clips, media = batch_of(encoder, batch)
    captured = tokens(encoder, clips, media, *names(encoder))
    assert list(captured) == names(encoder)
    for tap in token_taps(encoder):
        counts = [encoder.grid(tap.level, *clip.shape[:3]).tokens for clip in clips]
        assert [tuple(sample.shape) for sample in captured[tap.name]] == [(count, tap.width) for count in counts]
        assert all(sample.isfinite().all() for sample in captured[tap.name])
        assert all(not sample.requires_grad for sample in captured[tap.name])


@pytest.mark.parametrize("batch", ["three of a size", "eight", "mixed clips"])
def test_a_sample_is_the_same_alone_and_in_a_batch(encoder: Encoder, batch: str) -> None:
    """To the tolerance of float32: sums are taken in another order where there are more rows."""
    clips, media = batch_of(encoder, batch)
    together = tokens(encoder, clips, media, *names(encoder))
    for number, clip in enumerate(clips):
        alone = tokens(encoder, [clip], media, *names(encoder))
        for tap in names(encoder):
            assert_close(together[tap][number], alone[tap][0], rtol=1e-3, atol=1e-3, msg=f"{tap} of sample {number}")


def test_one_tap_is_the_same_as_among_all(encoder: Encoder) -> None:
    clips, media = make(encoder, "ragged windows")
    inputs = encoder.preprocess(clips, media)
    everything = encoder.forward(inputs, names(encoder))
    for tap in names(encoder):
        assert torch.equal(encoder.forward(inputs, [tap])[tap][0], everything[tap][0])


def test_tokens_stay_distinct_at_every_depth(encoder: Encoder) -> None:
    captured = tokens(encoder, *make(encoder, "square"), *names(encoder))
    for tap, (sample,) in captured.items():
        assert sample.std(dim=0).min() > 1e-3, f"{tap} has a channel that is the same everywhere"
        assert torch.cdist(sample, sample).fill_diagonal_(1.0).min() > 1e-3, f"{tap} has two tokens alike"


# The prompt.

TEXTS = ("Is it red?", "What is to the left of the square, and what is above it?", "x", "How many?")


@pytest.mark.parametrize("batch", ["three of a size", "mixed clips"])
def test_the_prompt_is_the_real_processors(encoder: Encoder, reference: ModuleType, batch: str) -> None:
    """All of it with texts, up to the last visual token without; of tiled images the first view."""
    if "llm.embed" not in names(encoder):
        return
    clips, media = batch_of(encoder, batch)
    texts = TEXTS[: len(clips)]
    spoken = sequences(encoder, encoder.preprocess(clips, media, texts))
    silent = sequences(encoder, encoder.preprocess(clips, media))
    for number, (clip, text) in enumerate(zip(clips, texts, strict=True)):
        kind = reference.kind_of(encoder, clip, media)
        theirs = reference.inputs(encoder, [clip], kind, [text])["input_ids"][0].tolist()
        visual = {position for position, token in enumerate(theirs) if token in encoder.visual_ids()}  # type: ignore[attr-defined]
        count = encoder.grid("merged", *clip.shape[:3]).tokens
        whole, cut = spoken[number], silent[number]
        if not reference.has_tiles(encoder, kind):
            assert [len(visual)] == encoder.visual_counts(encoder.preprocess([clip], media))  # type: ignore[attr-defined]
            assert len(visual) == (2 * count if encoder.family == "molmo2" else count)  # which shows an image twice
            assert whole == theirs
            seen = encoder.is_seen(torch.tensor([theirs]))[0].nonzero().max()  # type: ignore[attr-defined]
            assert cut == (whole_prompt(encoder, clip, kind) if encoder.sees_prompt else theirs[: seen + 1])
        else:  # one newline follows the view, where theirs has tiles as well
            assert cut == theirs[: min(visual) + count + 1]
            assert whole == [*cut, *theirs[max(visual) + 1 :]]


def whole_prompt(encoder: Any, clip: np.ndarray, media: Media) -> list[int]:
    """Token ids of a prompt that the visual tokens see, for which nothing can be left out."""
    (ids,) = sequences(encoder, encoder.preprocess([clip], media, [encoder.options.prompt]))
    return ids


def sequences(encoder: Encoder, inputs: Any) -> list[list[int]]:
    """Token ids without padding, which is on the right."""
    rows = []
    for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
        assert mask.tolist() == sorted(mask.tolist(), reverse=True)
        rows.append(ids[: int(mask.sum())].tolist())
    return rows


@pytest.mark.parametrize("batch", ["three of a size", "mixed clips"])
def test_the_last_query_is_the_last_token_of_the_whole_prompt(
    encoder: Encoder, reference: ModuleType, batch: str
) -> None:
    """Also in a batch of prompts of different lengths; what is visual knows of the words after it where it is said."""
    if "llm.embed" not in names(encoder):
        return
    clips, media = batch_of(encoder, batch)
    texts = TEXTS[: len(clips)]
    taps = ("llm.embed", "llm.layer_02", "llm.final_norm")
    points = [*(f"{tap}@last_query" for tap in taps), *taps]
    captured = encoder.forward(encoder.preprocess(clips, media, texts), points)
    silent = tokens(encoder, clips, media, *taps)
    for number, (clip, text) in enumerate(zip(clips, texts, strict=True)):
        for tap in taps:
            if encoder.sees_prompt and tap != "llm.embed":
                assert (captured[tap][number] - silent[tap][number]).abs().max() > 1e-2
            else:
                assert_close(captured[tap][number], silent[tap][number], rtol=1e-3, atol=1e-3)
        if reference.has_tiles(encoder, reference.kind_of(encoder, clip, media)):
            continue  # their own pass has tiles between the view and the words
        inputs = reference.inputs(encoder, [clip], media, [text])
        with torch.no_grad():
            states = encoder.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states  # type: ignore[attr-defined]
        for tap, state in zip(taps, (states[0], states[2], states[-1]), strict=True):
            assert_close(captured[f"{tap}@last_query"][number], state[:, -1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batch", ["mixed sizes", "mixed clips"])
def test_pooled_readouts_are_those_of_the_tokens(encoder: Encoder, batch: str) -> None:
    clips, media = batch_of(encoder, batch)
    points = [f"{tap}@{readout}" for tap in names(encoder) for readout in ("mean", "last_vision")]
    whole = tokens(encoder, clips, media, *names(encoder))
    captured = tokens(encoder, clips, media, *points)
    assert list(captured) == points
    for tap in names(encoder):
        for number, sample in enumerate(whole[tap]):
            assert_close(captured[f"{tap}@last_vision"][number], sample[-1:], rtol=0, atol=0)
            expected = sample.double().mean(0, keepdim=True).float()
            assert_close(captured[f"{tap}@mean"][number], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_number_type_is_the_one_asked_for(encoder: Encoder, dtype: str) -> None:
    other = encoders.load(f"tiny:{encoder.family}", LoadOptions(dtype=dtype, device="cpu"))
    captured = tokens(other, *make(encoder, "mixed sizes"), *names(encoder))
    exact = tokens(encoder, *make(encoder, "mixed sizes"), *names(encoder))
    for tap, samples in captured.items():
        for sample, full in zip(samples, exact[tap], strict=True):
            assert sample.dtype is getattr(torch, dtype)
            assert (sample.float() - full).norm() < 0.1 * full.norm(), f"{tap} is far from its float32 values"


def test_loading_leaves_the_global_random_numbers_alone_and_repeats_itself(encoder: Encoder) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = encoders.load(f"tiny:{encoder.family}", LoadOptions(dtype="float32", device="cpu"))
    assert torch.equal(torch.rand(1), expected)
    assert again.identity() == encoder.identity()
    clips, media = make(encoder, "one unit")
    last = names(encoder)[-1]
    assert torch.equal(tokens(again, clips, media, last)[last][0], tokens(encoder, clips, media, last)[last][0])


def test_identity_is_json_and_says_that_the_weights_are_random(encoder: Encoder) -> None:
    identity = encoder.identity()
    assert json.loads(json.dumps(identity, allow_nan=False)) == identity
    assert identity["family"] == encoder.family
    assert identity["name"] == f"tiny:{encoder.family}"
    assert identity["weights"] == "random"
    assert identity["dtype"] == "float32"
    assert {"revision", "weights_digest"} <= identity.keys()


def test_native_sizes_are_possible_and_within_the_most_tokens(encoder: Encoder) -> None:
    for height, width in [(480, 640), (1, 1), (30, 3000), (5000, 5000), (33, 17)]:
        size = encoder.native_size(height, width)
        assert encoder.native_size(*size) == size
        for level in levels(encoder):
            assert encoder.grid(level, 1, *size).tokens <= encoder.max_tokens(level, 1)
        assert size[0] * size[1] <= encoder.max_pixels


@pytest.mark.parametrize("offset", [(0, 1), (-1, 0), (3, 5)])
def test_an_impossible_size_is_refused(encoder: Encoder, offset: Sequence[int]) -> None:
    side = encoder.patch_multiple
    height, width = 3 * side + offset[0], 4 * side + offset[1]
    near = encoder.nearest_size(height, width)
    with pytest.raises(UsageError, match=f"{height} × {width}.*is not possible for {encoder.family}: .*{near[0]}"):
        encoder.grid("patch", 1, height, width)
    assert encoder.grid("patch", 1, *near).tokens > 0
    with pytest.raises(UsageError):
        encoder.preprocess([np.zeros((1, height, width, 3), np.uint8)], "image")


def test_an_unknown_tap_is_refused_with_the_nearest_name(encoder: Encoder) -> None:
    inputs = encoder.preprocess(*make(encoder, "one unit"))
    with pytest.raises(UnknownName, match=f"did you mean.*{names(encoder)[0]}"):
        encoder.forward(inputs, [f"{names(encoder)[0]}s"])
