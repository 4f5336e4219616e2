"""The names of metrics as the field writes them, and which side of them is better."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric as people read it."""

    label: str
    """Its usual name, with the unit where it has one."""
    lower_is_better: bool = False


METRIC_NAMES = {
    "accuracy": MetricName("accuracy"),
    "top_5": MetricName("top-5 accuracy"),
    "balanced_accuracy": MetricName("balanced accuracy"),
    "calibration_error": MetricName("expected calibration error", lower_is_better=True),
    "auroc": MetricName("AUROC"),
    "auprc": MetricName("AUPRC"),
    "within_category_auroc": MetricName("mean AUROC within categories"),
    "within_type_auroc": MetricName("mean AUROC within types of question"),
    "within_source_auroc": MetricName("mean AUROC within sources"),
    "category_auroc": MetricName("AUROC of the category's rate"),
    "first_token_auroc": MetricName("AUROC of the first token"),
    "over_category": MetricName("AUROC less that of the category's rate"),
    "over_first_token": MetricName("AUROC less that of the first token"),
    "over_first_token_within": MetricName("mean AUROC within categories less that of the first token"),
    "r2": MetricName("R²"),
    "mae": MetricName("mean absolute error", lower_is_better=True),
    "relative_error": MetricName("relative error", lower_is_better=True),
    "mean_iou": MetricName("mean IoU"),
    "median_iou": MetricName("median IoU"),
    "share_above_0.5": MetricName("share with IoU > 0.5"),
    "share_above_0.7": MetricName("share with IoU > 0.7"),
    "centre_error": MetricName("centre error", lower_is_better=True),
    "size_error": MetricName("relative size error", lower_is_better=True),
    "best_match_iou": MetricName("mean IoU of the best match"),
    "centre_error_pixels": MetricName("centre error in pixels", lower_is_better=True),
    "side_error_pixels": MetricName("error of sides in pixels", lower_is_better=True),
    "miou": MetricName("mIoU"),
    "map_0.5": MetricName("mAP@0.5"),
    "map_0.75": MetricName("mAP@0.75"),
    "map_0.5:0.95": MetricName("mAP@0.5:0.95"),
    "map_small": MetricName("mAP, small"),
    "map_medium": MetricName("mAP, medium"),
    "map_large": MetricName("mAP, large"),
    "psnr": MetricName("PSNR (dB)"),
    "ssim": MetricName("SSIM"),
    "lpips": MetricName("LPIPS", lower_is_better=True),
    "edge_f1": MetricName("edge F1"),
    "gram_distance": MetricName("Gram distance", lower_is_better=True),
    "negative_loss": MetricName("negative loss"),
    "cosine": MetricName("cosine similarity"),
    "copy_r2": MetricName("R² of a copy"),
    "copy_cosine": MetricName("cosine similarity of a copy"),
    "mean_rank": MetricName("mean rank", lower_is_better=True),
}
"""Every metric that a task of this package reports, by the name that it has in files."""
_LOWER = ("error", "mae", "lpips", "distance", "rank")
"""Ends of the names of other metrics of which less is better."""


def label(metric: str) -> str:
    """Returns a metric's usual name; of one that is not known its own with spaces.

    >>> label("mean_iou"), label("map_0.5"), label("my_metric")
    ('mean IoU', 'mAP@0.5', 'my metric')
    """
    known = METRIC_NAMES.get(metric)
    return known.label if known else metric.replace("_", " ")


def lower_is_better(metric: str) -> bool:
    """Tells whether less of a metric is better.

    >>> lower_is_better("lpips"), lower_is_better("r2"), lower_is_better("my_error")
    (True, False, True)
    """
    known = METRIC_NAMES.get(metric)
    return known.lower_is_better if known else metric.endswith(_LOWER)


def direction(metric: str) -> str:
    """Returns what is better, in words.

    >>> direction("lpips")
    'lower is better'
    """
    return "lower is better" if lower_is_better(metric) else "higher is better"


def marked(metric: str) -> str:
    """Returns the usual name with an arrow towards what is better.

    >>> marked("lpips"), marked("r2")
    ('LPIPS ↓', 'R² ↑')
    """
    return f"{label(metric)} {'↓' if lower_is_better(metric) else '↑'}"
