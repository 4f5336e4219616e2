"""AUROC within kinds against scikit-learn on each kind alone, and differences on the same resamples."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from foresight_probes.hallucination.within_groups import paired_differences, within_groups


def questions(count: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """Labels, scores, kinds and images: a kind that is read well, one that is not, one of one label, one of few."""
    generator = np.random.default_rng(seed)
    kinds = generator.choice(["clear", "blind", "never", "rare"], count, p=[0.4, 0.4, 0.15, 0.05]).tolist()
    labels_S = (generator.random(count) < 0.4).astype(np.int64)
    labels_S[[kind == "never" for kind in kinds]] = 0
    rare = [row for row, kind in enumerate(kinds) if kind == "rare"]
    labels_S[rare] = np.arange(len(rare)) < 3
    strength = np.array([2.0 if kind == "clear" else 0.0 for kind in kinds])
    return labels_S, generator.normal(size=count) + strength * labels_S, kinds, [str(n // 3) for n in range(count)]


def test_each_kind_is_measured_alone_and_has_the_same_weight() -> None:
    labels_S, scores_S, kinds, images = questions()
    found = within_groups(labels_S, scores_S, kinds, images, resamples=200)
    expected = {}
    for name in ("blind", "clear", "rare"):
        own = np.array([kind == name for kind in kinds])
        expected[name] = roc_auc_score(labels_S[own], scores_S[own])
    by_name = {kind.name: kind for kind in found.kinds}
    assert list(by_name) == ["blind", "clear", "never", "rare"]
    for name, kind in by_name.items():
        own = np.array([own == name for own in kinds])
        assert (kind.samples, kind.positives) == (own.sum(), labels_S[own].sum())
        assert (kind.auroc.value if kind.auroc else None) == pytest.approx(expected.get(name))
    assert [kind.counted for kind in found.kinds] == [True, True, False, False]
    assert by_name["never"].reason == f"not measured: none of {by_name['never'].samples} answers are hallucinated"
    assert by_name["rare"].reason == "not in the mean: 3 hallucinated answers, fewer than 5"
    assert found.macro is not None
    assert found.macro.value == pytest.approx((expected["blind"] + expected["clear"]) / 2)
    assert found.macro.low > 0.5
    assert by_name["blind"].auroc is not None
    assert by_name["blind"].auroc.low < 0.5 < by_name["blind"].auroc.high


def test_what_only_the_kind_tells_is_chance_within_kinds() -> None:
    labels_S, _, kinds, images = questions()
    found = within_groups(labels_S, np.array([len(kind) for kind in kinds]), kinds, images, resamples=50)
    assert found.macro is not None
    assert (found.macro.value, found.macro.low, found.macro.high) == pytest.approx((0.5, 0.5, 0.5), abs=0.03)


def test_no_kind_with_both_labels() -> None:
    found = within_groups(np.array([1, 0, 1]), np.zeros(3), list("aba"), list("xyz"), resamples=10)
    assert found.macro is None
    assert [kind.reason[:12] for kind in found.kinds] == ["not measured", "not measured"]


def test_differences_are_measured_on_the_same_resamples() -> None:
    """The mean of the difference over resamples is that of one detector less that of the other, drawn by hand."""
    labels_S, scores_S, kinds, images = questions()
    other_S = np.random.default_rng(5).normal(size=len(labels_S)) + 0.5 * labels_S
    detectors = {"ours": scores_S, "theirs": other_S, "same": 3 * other_S + 1}
    ours, same = paired_differences(labels_S, detectors, "theirs", kinds, images, resamples=400)
    assert (ours.detector, ours.reference, same.detector) == ("ours", "theirs", "same")
    for part in (same.pooled, same.macro):
        assert part is not None
        assert (part.value, part.low, part.high) == (0, 0, 0)  # equal on every resample, however these differ
    assert ours.pooled is not None
    expected = roc_auc_score(labels_S, scores_S) - roc_auc_score(labels_S, other_S)
    assert ours.pooled.value == pytest.approx(expected)
    generator, draws = np.random.default_rng(9), []
    for _ in range(150):
        rows = (3 * generator.integers(200, size=200)[:, None] + np.arange(3)).ravel()
        draws.append(roc_auc_score(labels_S[rows], scores_S[rows]) - roc_auc_score(labels_S[rows], other_S[rows]))
    low, high = np.percentile(draws, [2.5, 97.5])
    assert (ours.pooled.low, ours.pooled.high) == pytest.approx((low, high), abs=0.02)
