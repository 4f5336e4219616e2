"""Ends of confidence intervals, on scales on which the values of metrics are spread about normally.

The spread is that of bootstrap resamples. Percentiles of resamples fail where there are few groups and near the ends of
a metric's range: of 25 samples the interval of an AUROC near 0.97 would cover it in 70 of 100 cases instead of 95.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy import stats
from scipy.special import chndtr, chndtrinc, expit, logit

Ends = tuple[float, float]
LARGEST = 2.0
"""Half of an interval, in what is missing to 1, beyond which its logarithm is no longer about normal."""
SYMMETRIC = 1e-6
"""Skewness up to which there is nothing to correct."""
UNEQUAL = 1 / 3
"""Share of the skewness of sums of squares that is due to squares that are not alike; found by simulation."""


def ends(metric: str, value: float, draws: np.ndarray, *, groups: float, confidence: float) -> Ends:
    """Returns the ends of the confidence interval of a metric, which hold its value.

    Args:
        metric: Its name, which decides the scale; of a name that is not known, percentiles are taken.
        value: Its value on all samples.
        draws: Its values on bootstrap resamples, [R], finite.
        groups: Effective number of groups of the samples (`groups.effective_groups`).
        confidence: Share of intervals that are to hold the metric of all samples that there are.
    """
    if groups <= 1 or not len(draws):
        return value, value
    quantile = float(stats.t.ppf((1 + confidence) / 2, max(groups - 1, 1)))
    low, high = _scale_of(metric)(value, draws, groups, quantile)
    return min(low, value), max(high, value)


def deviation(draws: np.ndarray, groups: float) -> float:
    """Returns the standard error of a metric: a bootstrap of n groups is too narrow by √((n - 1) / n)."""
    return float(draws.std()) * math.sqrt(groups / (groups - 1))


def _proportion(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:
    """Wilson's interval for as many samples as would give a proportion this variance; for none, one for each group.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (JASA 1927); the effective number as
    of Korn and Graubard, "Confidence Intervals for Proportions with Small Expected Number of Positive Counts" (1998).
    """
    share, variance = min(1.0, max(0.0, value)), deviation(draws, groups) ** 2
    own = share * (1 - share)
    size = own / variance if own > 0 and variance > 0 else groups
    middle = (share + quantile**2 / (2 * size)) / (1 + quantile**2 / size)
    half = quantile / (1 + quantile**2 / size) * math.sqrt(own / size + quantile**2 / (4 * size**2))
    return middle - half, middle + half


def _share(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:
    """Student's interval of the log-odds, by the delta method where those of resamples are not all finite."""
    if not 0 < value < 1:
        return _proportion(value, draws, groups, quantile)
    inside = draws.min() > 0 and draws.max() < 1
    half = quantile * (deviation(logit(draws), groups) if inside else deviation(draws, groups) / (value * (1 - value)))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def _biased_share(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:
    """Student's interval of the log-odds less their bias: resamples are as much above it as it is above what is true.

    What is left of the bias is not known; it is counted as an error of the bias's own size.
    """
    if not 0 < value < 1 or draws.min() <= 0 or draws.max() >= 1:
        return _share(min(1.0, max(0.0, 2 * value - float(draws.mean()))), draws, groups, quantile)
    own, odds = float(logit(value)), logit(draws)
    bias = float(odds.mean()) - own
    half = quantile * math.hypot(deviation(odds, groups), bias)
    return float(expit(own - bias - half)), float(expit(own - bias + half))


def _mean_share(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:
    """The interval of `_skewed`: near 1, a few small shares make it reach further down than up."""
    if not 0 < value < 1:
        return _proportion(value, draws, groups, quantile)
    low, high = _skewed(value, draws, groups, quantile)
    return max(0.0, low), min(1.0, high)


def _at_most_one(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:
    """Student's interval of the logarithm of what is missing to 1, by the delta method; of the value itself where that
    says next to nothing."""
    missing, half = 1 - value, quantile * deviation(draws, groups)
    if missing <= 0 or half > LARGEST * missing:
        return value - half, min(1.0, value + half)
    return 1 - missing * math.exp(half / missing), 1 - missing / math.exp(half / missing)


def _positive(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:
    """The interval of `_skewed`: a few large errors make it reach further up than down."""
    low, high = _skewed(value, draws, groups, quantile)
    return max(0.0, low), high


def _skewed(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:
    """Student's interval of a mean, corrected for skewness.

    Hall, "On the Removal of Skewness by Transformation" (Journal of the Royal Statistical Society B 1992): his cubic,
    solved for its argument, with the skewness that resamples of the mean have.
    """
    return _hall(value, deviation(draws, groups), _skewness(draws), quantile)


def _hall(value: float, error: float, skewness: float, quantile: float) -> Ends:
    if abs(skewness) < SYMMETRIC:
        return value - quantile * error, value + quantile * error
    below, above = (
        3 / skewness * (math.cbrt(1 + skewness * (end - skewness / 6)) - 1) * error for end in (quantile, -quantile)
    )
    return value - below, value - above


def _skewness(draws: np.ndarray) -> float:
    """Returns the third moment of standardised draws, 0 where they differ by rounding alone."""
    away, scale = draws - draws.mean(), float(draws.std())
    return float(np.mean((away / scale) ** 3)) if scale > SYMMETRIC * float(np.abs(draws).max()) else 0.0


def _debiased_root(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:
    """The interval of the root of a mean of squares less their noise, as the noncentral χ² distribution gives it.

    Resamples are above the estimate by the noise, and spread as the estimate would where the true square is their mean.
    Both say how many squares of equal noise would do so, as Satterthwaite, "An Approximate Distribution of Estimates of
    Variance Components" (Biometrics 1946) has it. The ends are the true values under which such an estimate is just too
    large or too small. The upper one is no lower than a normal one, nor than one with `UNEQUAL` of the skewness.
    """
    squares, own = draws * np.abs(draws), value * abs(value)
    error, noise = deviation(squares, groups), (float(squares.mean()) - own) * groups / (groups - 1)
    high = own + quantile * error
    if noise <= 0 or error == 0:
        return math.sqrt(max(0.0, own - quantile * error)), math.sqrt(max(0.0, high))
    true, seen = (noise + 2 * max(0.0, square) for square in (own, own + noise))
    freedom = 2 * noise * seen / error**2
    unit, tail = noise / freedom, float(stats.norm.cdf(-quantile))
    low, upper = (_noncentrality(max(0.0, own + noise) / unit, freedom, share) for share in (1 - tail, tail))
    _, skewed = _hall(own, error * math.sqrt(true / seen), UNEQUAL * _skewness(squares), quantile)
    return math.sqrt(low * unit), math.sqrt(max(0.0, high, upper * unit, skewed))


def _noncentrality(value: float, freedom: float, share: float) -> float:
    """Returns the noncentrality of the χ² distribution that has this share below a value, or 0 where all have less."""
    return float(chndtrinc(value, freedom, share)) if chndtr(value, freedom, 0) > share else 0.0


def _plain(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:
    half = quantile * deviation(draws, groups)
    return value - half, value + half


def _percentiles(value: float, draws: np.ndarray, groups: float, quantile: float) -> Ends:  # noqa: ARG001 - as others
    """Percentiles that are as far out as Student's are: Hesterberg, "What Teachers Should Know about the Bootstrap"
    (2015), section 3.2."""
    tail = 100 * stats.norm.cdf(-quantile * math.sqrt(groups / (groups - 1)))
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)


Scale = Callable[[float, np.ndarray, float, float], Ends]
SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        **dict.fromkeys(("accuracy", "top_", "share_above_", "share_within_"), _proportion),
        **dict.fromkeys(("median_iou", "balanced_accuracy", "auroc", "miou"), _share),
        **dict.fromkeys(("within_category_auroc", "within_type_auroc", "within_source_auroc"), _share),
        **dict.fromkeys(("category_auroc", "first_token_auroc"), _share),
        **dict.fromkeys(("mean_iou", "best_match_iou", "edge_f1", "ssim"), _mean_share),
        **dict.fromkeys(("auprc", "map_"), _biased_share),
        **dict.fromkeys(("r2", "copy_r2", "cosine", "copy_cosine", "kept_"), _at_most_one),
        **dict.fromkeys(("mae", "relative_error", "centre_error", "size_error"), _positive),
        **dict.fromkeys(("lpips", "gram_distance", "mean_rank", "region_error_"), _positive),
        "calibration_error": _debiased_root,
        "psnr": _plain,
    }
)
"""Scales by the name of a metric, or by its beginning where that ends with `_`."""


def _scale_of(metric: str) -> Scale:
    for name, scale in SCALES.items():
        if metric == name or (name.endswith("_") and metric.startswith(name)):
            return scale
    return _percentiles
