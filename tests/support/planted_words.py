"""Images whose visual tokens are words of their captions by a known share, and an index of all words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foresight_cache.text_index_files import TextIndex
from foresight_probes.studies.joining import join
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import Carried, carry_out
from pipelines import studies
from tests.support import lenses

WIDTH = 64
IMAGE, NOISE = "llm.layer_02", "llm.embed"
"""Points at which tokens are words of the image by a share, and never; at `llm.layer_01` never too."""
TAPS = ["vit.post_merge", NOISE, "llm.layer_01", IMAGE, "llm.layer_03", "llm.final_norm"]
VOCABULARY, TOLD = 80, 4
"""Words in all, and words of each caption."""
CONTEXTS = 5
"""Rows of each word in the index, near each other, so that the five nearest of a token are one word."""
LAYERS = (1, 2)
TOKENS = 6
"""Tokens of an image, as `lenses.write_cache` lays them out."""


@dataclass(frozen=True, kw_only=True)
class PlantedWords:
    """A world of words."""

    seed: int = 0
    images: int = 100
    share: float = 0.4
    """Share of tokens at `IMAGE` that are a word of the image; the others are any word."""
    shuffled: bool = False
    """True where captions are those of other images."""

    @property
    def chance(self) -> float:
        """Share of tokens that are a word of another image, whose captions are independent draws."""
        return TOLD / VOCABULARY

    @property
    def over_chance(self) -> float:
        """What the share of words of the image is above chance, in expectation."""
        return 0.0 if self.shuffled else self.share * (1 - self.chance)

    def words(self) -> list[str]:
        """Returns words that share no letters with each other's beginnings: `word00x`, …"""
        return [f"word{number:02d}x" for number in range(VOCABULARY)]

    def carried_out(self, folder: Path, verdicts: Path | None = None) -> Carried:
        """Writes index and cache where they are not there, and carries the study out on them."""
        if not (folder / "index").exists():
            self.write_index(folder / "index")
            self.write_cache(folder / "cache")
        study = studies.load("latentlens")
        settings = Settings(indices=(str(folder / "index"),), device="cpu", verdicts=verdicts)
        return carry_out(plan_study(study, join(study, [str(folder / "cache")]), folder / "out", settings))

    def write_index(self, path: Path, contexts: int = CONTEXTS) -> TextIndex:
        """Writes so many rows of each word: its vector and a little noise."""
        draw = np.random.default_rng([self.seed, 1])
        names = [word for word in self.words() for _ in range(contexts)]
        vectors = {
            layer: np.repeat(own_VD, contexts, 0) + 0.05 * draw.normal(size=(len(names), WIDTH))
            for layer, own_VD in zip(LAYERS, self._vectors(), strict=True)
        }
        return lenses.write_index(path, vectors, rows_per_shard=150, words=names, layers={"of": 3})

    def write_cache(self, path: Path) -> Path:
        """Writes the images with their captions."""
        draw = np.random.default_rng([self.seed, 2])
        told = [draw.choice(VOCABULARY, TOLD, replace=False) for _ in range(self.images)]
        tokens = {
            point: self._tokens([self._numbers(draw, own, share) for own in told], draw)
            for point, share in ((NOISE, 0.0), ("llm.layer_01", 0.0), (IMAGE, self.share))
        }
        said = [told[number] for number in draw.permutation(self.images)] if self.shuffled else told
        names = self.words()
        captions = [
            [f"A photo of {names[a]}, and the {names[b].upper()}.", f"{names[c]} by {names[d]}"] for a, b, c, d in said
        ]
        return lenses.write_cache(path, tokens, captions, taps=TAPS)

    def _vectors(self) -> Sequence[np.ndarray]:
        draw = np.random.default_rng([self.seed, 3])
        return [draw.normal(size=(VOCABULARY, WIDTH)) for _ in LAYERS]

    def _numbers(self, draw: np.random.Generator, told: np.ndarray, share: float) -> np.ndarray:
        of_image = draw.random(TOKENS) < share
        return np.where(of_image, draw.choice(told, TOKENS), draw.integers(0, VOCABULARY, TOKENS))

    def _tokens(self, numbers: Sequence[np.ndarray], draw: np.random.Generator) -> np.ndarray:
        """Returns the words as they are at the second layer of the index, of any length, and a little noise."""
        vectors = self._vectors()[1][np.stack(numbers)]
        return vectors * draw.uniform(1, 20, (*vectors.shape[:2], 1)) + 0.05 * draw.normal(size=vectors.shape)
