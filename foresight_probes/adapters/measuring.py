"""Predictions of trained adapters, measured: latents, what the frozen VAE makes of them, and the same of the oracle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from foresight_probes.adapters.aligned import LATENT, RECONSTRUCTION, Aligned
from foresight_probes.adapters.decoder import Decoder
from foresight_probes.adapters.latent_scores import latent_numbers, latent_summary
from foresight_probes.adapters.picture_scores import (
    NAMES,
    OF_FRAMES,
    ClipScores,
    clip_scores,
    picture_summary,
    source_over_time,
)
from foresight_probes.metrics import Scores
from foresight_probes.metrics.perceptual import PerceptualDistance
from foresight_probes.metrics.resamples import Statistic
from foresight_probes.options import TrainingOptions
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.interval import Interval

ADAPTER, CHANCE, ORACLE = "adapter", "mean_latent", "oracle"
"""What is measured: the prediction, the mean latent of the training samples, and the VAE's own round trip."""
GAP, SOURCE = "gap_to_oracle", "source"
_GAP = "_gap"
Table = Mapping[str, Sequence[Any]]
"""Columns of one row for each test sample: `id`, `group`, `fold`, and numbers named `<what>.<measure>`."""


@dataclass
class Pictures:
    """Measures of decoded clips; those of oracle and mean latent are made once for all adapters."""

    aligned: Aligned
    decoder: Decoder
    distance: PerceptualDistance | None
    _known: dict[tuple[str, int, int], ClipScores] = field(default_factory=dict)
    _over_time: dict[int, float] = field(default_factory=dict)

    def of(self, sample: int, fold: int, latent_QC: Tensor, constant_QC: Tensor) -> dict[str, ClipScores]:
        """Returns measures of the prediction, the mean latent and the oracle of a joined sample."""
        constant = (CHANCE, sample, fold)
        if constant not in self._known:
            self._known[constant] = self._scores(sample, self._decoded(constant_QC))
        return {
            ADAPTER: self._scores(sample, self._decoded(latent_QC)),
            CHANCE: self._known[constant],
            ORACLE: self._oracle(sample),
        }

    def source_over_time(self, sample: int) -> float:
        """Returns the similarity of neighbouring frames of a source clip."""
        if sample not in self._over_time:
            self._over_time[sample] = source_over_time(self._source(sample))
        return self._over_time[sample]

    def _oracle(self, sample: int) -> ClipScores:
        key = (ORACLE, sample, 0)
        if key not in self._known:
            latents, row = self.aligned.latents, self.aligned.rows[sample][-1]
            there = RECONSTRUCTION in latents.arrays
            clip = latents[RECONSTRUCTION].grid(row) if there else self.decoder(*_latent(self.aligned, row))
            self._known[key] = self._scores(sample, clip)
        return self._known[key]

    def _decoded(self, latent_QC: Tensor) -> np.ndarray:
        return self.decoder(latent_QC.numpy(), self.aligned.latent_grid)

    def _scores(self, sample: int, clip_THWC: np.ndarray) -> ClipScores:
        return clip_scores(clip_THWC, self._source(sample), self.distance)

    def _source(self, sample: int) -> np.ndarray:
        return self.aligned.latents["pixels"].grid(self.aligned.rows[sample][-1])


def _latent(aligned: Aligned, row: int) -> tuple[np.ndarray, Any]:
    return aligned.latents[LATENT][row], aligned.latent_grid


def measured(
    aligned: Aligned,
    found: Sequence[tuple[int, int, Tensor, Tensor]],
    constants: Sequence[Tensor],
    pictures: Pictures | None,
) -> Table:
    """Returns the numbers of test samples.

    Args:
        aligned: The caches.
        found: Joined samples with their fold, their predicted and their true latent [Q, C].
        constants: The mean latent of each fold, [Q, C].
        pictures: Measures of decoded clips, if any are made.
    """
    rows = [_row(aligned, sample, fold, pair, constants[fold], pictures) for sample, fold, *pair in sorted_by(found)]
    return {name: [row[name] for row in rows] for name in rows[0]}


def sorted_by(found: Sequence[tuple[int, int, Tensor, Tensor]]) -> list[tuple[int, int, Tensor, Tensor]]:
    """Returns predictions in the order of samples."""
    return sorted(found, key=lambda one: one[:2])


def _row(
    aligned: Aligned, sample: int, fold: int, pair: Sequence[Tensor], constant_QC: Tensor, pictures: Pictures | None
) -> dict[str, Any]:
    latent_QC, truth_QC = pair
    told = aligned.samples[sample]
    row: dict[str, Any] = {"id": told["id"], "group": told["group"], "fold": fold}
    for what, own_QC in ((ADAPTER, latent_QC), (CHANCE, constant_QC)):
        row[f"{what}.mse"], row[f"{what}.cosine"] = latent_numbers(own_QC, truth_QC)
    if pictures:
        clips = pictures.of(sample, fold, latent_QC, constant_QC)
        row |= {f"{what}.{name}": value for what, own in clips.items() for name, value in own.numbers.items()}
        row[f"{SOURCE}.neighbour_ssim"] = pictures.source_over_time(sample)
        for what in (ADAPTER, ORACLE):
            row |= {f"{what}.{name}_by_frame": clips[what].frames[name].tolist() for name in OF_FRAMES}
    return row


def intervals(table: Table, options: TrainingOptions) -> dict[str, dict[str, Interval]]:
    """Returns what is measured of adapter, mean latent, oracle, source, and gap to the oracle, with intervals.

    Those are of groups that are drawn again. A gap is of the same clips: what is measured of the adapter less what is
    measured of the oracle.
    """

    def of(scores: np.ndarray, statistic: Statistic) -> dict[str, Interval]:
        return bootstrap(scores, table["group"], statistic, resamples=options.resamples, confidence=options.confidence)

    found = {}
    for what in (ADAPTER, CHANCE):
        columns = [table[f"{what}.mse"], table[f"{what}.cosine"], table[f"{CHANCE}.mse"]]
        found[what] = of(np.array(columns).T, latent_summary)
    if f"{ORACLE}.psnr" in table:
        scores = {what: _pictures_of(table, what) for what in (ADAPTER, CHANCE, ORACLE)}
        for what, own in scores.items():
            found[what] = {**found.get(what, {}), **of(own, picture_summary)}
        gaps = of(scores[ADAPTER] - scores[ORACLE], _gap_summary)
        found[GAP] = {name.removesuffix(_GAP): interval for name, interval in gaps.items()}
        found[SOURCE] = of(np.array([table[f"{SOURCE}.neighbour_ssim"]]).T, _source_summary)
    return found


def _pictures_of(table: Table, what: str) -> np.ndarray:
    return np.array([table[f"{what}.{name}"] for name in NAMES], float).T


def _gap_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """The means by names of their own: a difference is on no scale of the measure that it is of."""
    return {f"{name}{_GAP}": values for name, values in picture_summary(scores, counts_RS).items()}


def _source_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    values_S = np.asarray(scores)[:, 0]
    return {"neighbour_ssim": counts_RS @ values_S / counts_RS.sum(1)}
