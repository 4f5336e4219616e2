"""The language model alone: its hidden states of phrases, its input embeddings, final norm and head."""

from collections.abc import Sequence
from typing import Any

import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.language import LanguageEncoder
from foresight_cache.encoders.capture.hooks import capture
from foresight_cache.errors import ModelError

_TOLERANCE = 1e-3
"""Largest relative difference between the final norm and what is kept of it."""


def layers_of(encoder: LanguageEncoder) -> int:
    """Returns the number of blocks of the language model."""
    return sum(tap.name.startswith("llm.layer_") for tap in encoder.taps)


def tap_of(encoder: LanguageEncoder, layer: int) -> Tap:
    """Returns the tap of a layer as `hidden_states` counts: 0 are the embeddings."""
    name = f"llm.layer_{layer:02d}" if layer else "llm.embed"
    return next(tap for tap in encoder.taps if tap.name == name)


def width_of(encoder: LanguageEncoder) -> int:
    """Returns the channels of the language model."""
    return tap_of(encoder, 0).width


@torch.inference_mode()
def hidden_states(
    encoder: LanguageEncoder, ids: Sequence[Sequence[int]], layers: Sequence[int]
) -> dict[int, torch.Tensor]:
    """Returns, by layer, the hidden states [B, N, D] of texts of one length, on the model's device, in its type.

    The language model is run alone, up to the deepest of these layers.
    """
    ids_BN = torch.tensor(ids, device=encoder.device)
    root = encoder.tapped_module(encoder.model)
    language = root.get_submodule(encoder.language_path)
    taps = {layer: tap_of(encoder, layer) for layer in layers}
    found = capture(root, list(taps.values()), lambda: language(input_ids=ids_BN, use_cache=False))
    return {layer: found[tap.name] for layer, tap in taps.items()}


class Vocabulary:
    """What the tokens of a model's vocabulary are before its first block and after its last."""

    def __init__(self, encoder: LanguageEncoder) -> None:
        """Raises `ModelError` for a model whose head, or final norm, is of another kind."""
        model: Any = encoder.model
        head = model.get_output_embeddings()
        self._embed, self._head = model.get_input_embeddings(), head
        root = encoder.tapped_module(model).get_submodule(encoder.language_path)
        self._norm: Any = root.get_submodule("norm")
        self._device = encoder.device
        weight = getattr(head, "weight", None)
        plain = weight is not None and weight.is_floating_point() and weight.shape[1:] == (width_of(encoder),)
        if not plain or getattr(head, "bias", None) is not None:
            raise ModelError(f"the head of this {encoder.family} is no plain matrix; leave it out by --vocabulary none")
        self.size = len(head.weight)
        """Tokens that the head tells apart."""
        self.epsilon = float(getattr(self._norm, "variance_epsilon", getattr(self._norm, "eps", 0.0)))
        """ε of the final norm."""

    @torch.inference_mode()
    def rows(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the input embeddings and the rows of the head of these tokens, each [V, D], in the model's type."""
        ids = torch.arange(start, min(stop, self.size), device=self._device)
        embedding = self._embed(ids[None])[0]
        return embedding.cpu(), self._head.weight[start : start + len(ids)].cpu()

    @torch.inference_mode()
    def final_norm(self) -> torch.Tensor:
        """Returns the factors [D], float32, by which the final norm multiplies x / sqrt(mean(x²) + ε).

        They are what the norm makes of ones, so that it does not matter how a family writes its weights. Raises
        `ModelError` where the norm does something else.
        """
        weight = self._norm.weight
        ones_D = torch.ones(len(weight), device=weight.device, dtype=weight.dtype)
        factors_D = self._norm(ones_D).float() * (1 + self.epsilon) ** 0.5
        trial_BD = torch.randn(4, len(weight), generator=torch.Generator().manual_seed(0)).to(ones_D)
        expected_BD = trial_BD.float() * (trial_BD.float().square().mean(-1, keepdim=True) + self.epsilon).rsqrt()
        expected_BD *= factors_D
        found_BD = self._norm(trial_BD).float()
        tolerance = _TOLERANCE if weight.dtype == torch.float32 else 4 * torch.finfo(weight.dtype).eps
        if not torch.allclose(found_BD, expected_BD, rtol=tolerance, atol=tolerance * float(factors_D.abs().max())):
            raise ModelError("the final norm of this model is no root-mean-square norm; use --vocabulary none")
        found: torch.Tensor = factors_D.cpu()
        return found
