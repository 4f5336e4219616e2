"""The words that were looked up for a study, and what they say of a measure at a point."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from foresight_cache.reader import Cache
from foresight_probes.lens.image_words import words_of_image
from foresight_probes.lens.judge_items import JudgedRates, JudgeItem, judge_items, judged_rates
from foresight_probes.lens.kept_words import INDEXED, STATISTICS, TABLE
from foresight_probes.lens.match_rates import Rates, WordCounts, count_words
from foresight_probes.statistics.groups import effective_groups, fewest
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.reading import Reading

RATES = ("rate", "chance", "over_chance")
"""Share of tokens with a word about the image among their nearest; the same of other images; the first less that."""
JUDGED = ("judged_rate", "judged_chance", "judged_over_chance")
"""The same by an outside judge, who also gets words of other images."""
METRICS = (*RATES, "hub_share", *JUDGED)
"""Metrics of words. `hub_share` is the share of tokens whose nearest word is the most frequent one."""
_HUB = 0.5
"""Share of one word from which on it is said beside every number."""
_COVERED = 0.1
"""Share of an image's words that an index must have, for a lens to find any."""


@dataclass(frozen=True)
class FoundWords:
    """Words of a group, in a folder that `lens.kept_words` wrote."""

    cache: Cache
    points: tuple[str, ...]
    """True names, in the order of computation."""
    lenses: tuple[str, ...]
    top: int
    index: str
    """The index, in words."""
    index_digest: str
    """SHA-256 of its fingerprint, hexadecimal."""
    folder: Path
    verdicts: Mapping[str, bool] | None = None
    """What an outside judge said, by item; None where nobody was asked."""

    @cached_property
    def counts(self) -> WordCounts:
        """The words, counted."""
        return count_words(self.folder / TABLE, self.cache)

    @cached_property
    def statistics(self) -> pd.DataFrame:
        """Lengths and channels by sample and point, as `lens.token_statistics` has them."""
        return pd.read_parquet(self.folder / STATISTICS)

    @cached_property
    def items(self) -> list[JudgeItem]:
        """What an outside judge is to judge; the same for the same words."""
        return judge_items(self.folder / TABLE, self.cache)

    @cached_property
    def judged(self) -> dict[tuple[str, str], JudgedRates]:
        """What the judge found, by point and lens."""
        return {} if self.verdicts is None else judged_rates(self.items, self.verdicts)

    @cached_property
    def coverage(self) -> float:
        """Share of an image's words that the index has in contexts, the mean over images; 0 where none has words."""
        indexed = set((self.folder / INDEXED).read_text(encoding="utf-8").splitlines())
        by_id = {row["id"]: row for row in self.cache.rows}
        words = [words_of_image(by_id[name]) for name in self.counts.samples]
        return sum(len(own & indexed) / len(own) for own in words) / len(words) if words else 0.0

    def points_by(self, lens: str) -> tuple[str, ...]:
        """Returns the points at which a lens found words."""
        return tuple(point for point in self.points if (point, lens) in self.counts.places)

    def rates(self, point: str, lens: str, *, nearest_alone: bool = False) -> Rates | None:
        """Returns shares of tokens by image; None where there are none."""
        return self.counts.rates((point, lens), nearest_alone=nearest_alone)

    def hub(self, point: str, lens: str) -> tuple[str, float]:
        """Returns the word that is nearest to the most tokens, and its share of them."""
        own = self.counts.places[point, lens]
        # Of equally frequent words the first in the alphabet, so that the order of samples decides nothing.
        word, count = min(own.nearest.items(), key=lambda each: (-each[1], each[0]))
        return word, count / own.tokens

    def reading(self, metric: str, point: str, lens: str) -> Reading:
        """Returns what is known of a metric at a point by a lens."""
        if (point, lens) not in self.counts.places:
            return Reading(reason="its words were not looked up")
        word, share = self.hub(point, lens)
        samples = len(self.counts.samples) + self.counts.without
        if metric == "hub_share":
            return Reading(interval=Interval(share, share, share), samples=samples)
        hub = f"by the lens {lens} one word, {word!r}, is the nearest of {share:.0%} of the tokens at {point}"
        caution = hub if share > _HUB else ""
        if metric in JUDGED:
            return self._judged(metric, point, lens, caution)
        if lens == "contextual" and self.counts.samples and self.coverage < _COVERED:
            return Reading(unfit=f"the index has {self.coverage:.0%} of the words of these images, too few to find any")
        rates = self.rates(point, lens)
        if rates is None:
            return Reading(reason=self.without_rates)
        return Reading(
            interval=rates.intervals[metric],
            caution=caution,
            samples=len(rates.groups),
            groups=effective_groups(rates.groups),
            needed=fewest(metric),
        )

    @property
    def without_rates(self) -> str:
        """Why there are no rates, in words."""
        if not self.counts.samples:
            return "nobody wrote anything about these images: they have no captions, and no names of objects or class"
        return "all images with captions, or names of objects, are of one group, so that there is no chance to compare"

    @property
    def without_verdicts(self) -> str:
        """Why there is nothing that a judge found, in words."""
        if self.verdicts is None:
            return "no outside judge was asked; --export-judge writes what to ask, and --import-judge reads it"
        return "the verdicts are not of a token's own words and of another image's both"

    def _judged(self, metric: str, point: str, lens: str, caution: str) -> Reading:
        own = self.judged.get((point, lens))
        if own is None:
            return Reading(reason=self.without_verdicts)
        return Reading(
            interval=own.intervals[metric.removeprefix("judged_")],
            caution=caution,
            samples=own.items,
            groups=own.groups,
            needed=fewest(metric),
        )
