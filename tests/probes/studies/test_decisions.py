"""Each threshold of the three studies, and each branch of their tables: below, at, above, and an interval across it."""

from collections.abc import Mapping
from functools import cache

import pytest

from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.criteria import Claim, Found, Place, decide
from foresight_probes.studies.reading import Reading
from foresight_probes.studies.study import Study
from foresight_probes.studies.verdict import UNDECIDED, Verdict, band_of, decide_branch
from pipelines import studies

THRESHOLDS = {
    "q2": {
        **{"pre-merge-iou.high": "> 0.8", "pre-merge-iou.fails": "< 0.7"},
        **{"post-merge-iou.high": "> 0.7", "post-merge-iou.fails": "< 0.5"},
        **{"llm-iou.fails": "< 0.4", "middle-layer-iou.falls": "< 0.5"},
        **{"lpips-everywhere.fails": "> 0.5", "edges-everywhere.fails": "< 0.5"},
        **{"located.target": "> 0.7", "detected.target": "> 0.4", "drawn.target": "< 0.3"},
        **{"structure.target": "> 0.7", "bounded.target": "> 0.6", "textured.target": "< 0.1"},
        **{"related.target": "> 0.9", "retained.excellent": "> 0.8"},
        **{"merger-iou.loses": "< 0", "merger-lpips.loses": "> 0"},
        **{"merger-relation.loses": "< 0", "merger-patches.loses": "< 0"},
    },
    "c1": {
        **{"lpips.target": "< 0.25", "lpips.acceptable": "< 0.35", "lpips.failure": "> 0.45"},
        **{"lpips.coarse": ">= 0.35", "lpips.accessible": "< 0.5", "lpips.entangled": "> 0.7"},
        **{"ssim.target": "> 0.85", "ssim.acceptable": "> 0.75", "ssim.failure": "< 0.65"},
        **{"psnr.target": "> 25", "psnr.acceptable": "> 22", "psnr.failure": "< 18"},
        **{"iou.target": "> 0.75", "iou.acceptable": "> 0.6", "iou.failure": "< 0.5"},
        **{"iou.fails": "< 0.4", "iou.of-e1-4": "> 0.7", "iou-everywhere.fails": "< 0.4"},
        **{"centre.target": "< 0.05", "size.target": "< 0.1", "count.target": "> 0.8"},
        **{"training.diverges": "> 0"},
        **{"large-head.fails": "> 0.5", "gap.small": "< 0.1", "gap.large": "> 0.2", "gap.none": "<= 0"},
    },
    "pivot1": {
        **{"iou.go": "> 0.4", "iou.no-go": "< 0.2", "map.go": "> 0.15", "map.no-go": "< 0.05"},
        **{"lpips.go": "< 0.35", "lpips.no-go": "> 0.45", "memory.go": "< 2", "memory.no-go": "> 3"},
        **{"memory-of-both.go": "< 2", "memory-of-both.no-go": "> 3"},
        **{"earlier-layers.go": "> 0.4", "clip-iou.go": "> 0.4", "clip-iou.no-go": "< 0.2"},
        **{"detr.go": "> 0.15", "detr.no-go": "< 0.05", "merger.loses": "< 0", "order.above-chance": "> 0.5"},
    },
}
"""The numbers of SPEC and of the plans' own tables, written down apart from the files."""
CLAIMS = [(study, claim) for study, claims in THRESHOLDS.items() for claim in claims]


@cache
def load(name: str) -> Study:
    return studies.load(name)


def reading(value: float, half: float = 0.0, **changes: object) -> Reading:
    """A value with its interval, of 400 samples whose test side is worth 60 groups."""
    body: dict[str, object] = {"samples": 400, "groups": 60.0, "needed": 50.0}
    return Reading(interval=Interval(value, value - half, value + half), **(body | changes))  # type: ignore[arg-type]


def decided(study: str, claim: str, own: Reading) -> Claim:
    """A claim of a study where its points all have one reading."""
    name, level = claim.split(".")
    criterion = load(study).criteria[name]
    several = criterion.which != "one"
    places = [Place(point=point, reading=own) for point in (("E4", "E5") if several else ("E4",))]
    return decide(claim, criterion, criterion.levels[level], places, higher_is_better=None)


@pytest.mark.parametrize("study", THRESHOLDS)
def test_thresholds_are_those_of_the_plans(study: str) -> None:
    claims = {f"{name}.{level}": str(threshold) for name, level, threshold in load(study).claims()}
    assert claims == THRESHOLDS[study]


@pytest.mark.parametrize(("study", "claim"), CLAIMS)
def test_a_threshold_is_decided_by_the_interval(study: str, claim: str) -> None:
    sign, text = THRESHOLDS[study][claim].split()
    cut = float(text)
    above, at = sign in (">", ">="), "=" in sign
    status = {True: "met", False: "not met"}
    assert decided(study, claim, reading(cut - 0.02, 0.01)).status == status[not above]
    assert decided(study, claim, reading(cut + 0.02, 0.01)).status == status[above]
    assert decided(study, claim, reading(cut)).status == status[at]
    across = decided(study, claim, reading(cut + 0.01, 0.02))
    assert across.status == "undecided"
    assert "needs about " in across.why


def test_what_an_undecided_claim_needs() -> None:
    """Half of the interval is twice as wide as the distance: four times as many samples."""
    assert "needs about 1,600 samples" in decided("q2", "located.target", reading(0.75, 0.1)).why
    few = decided("q2", "located.target", reading(0.9, 0.01, groups=20.0))
    assert few.status == "undecided"
    assert "20 groups are too few; needs about 1,000 samples" in few.why
    assert "more than any number of samples" in decided("q2", "located.target", reading(0.7, 0.1)).why


def test_what_has_no_value_says_why() -> None:
    missing = decided("q2", "drawn.target", Reading(reason="LPIPS needs weights"))
    assert (missing.status, missing.why) == ("not measured", "LPIPS needs weights (E4)")
    unfit = decided("q2", "drawn.target", Reading(unfit="mlp for boxes is unfit in 2 of 9 checks: present (lists)"))
    assert unfit.status == "instrument unfit"
    assert "present (lists)" in unfit.why
    assert missing.truth is None
    assert unfit.truth is None


def test_a_good_number_above_no_control_says_nothing_and_a_bad_one_does() -> None:
    criterion = load("q2").criteria["located"]

    def status(value: float) -> str:
        own = reading(value, 0.01, doubt="not above mean-predictor (0.9)")
        place = Place(point="E4", reading=own)
        return decide("", criterion, criterion.levels["target"], [place], higher_is_better=True).status

    assert status(0.9) == "not measured"
    assert status(0.1) == "not met"


def test_over_several_points_one_is_held_to_more() -> None:
    """Of two tries, one by chance is twice as likely, so that a single point decides by a wider interval."""
    criterion = load("pivot1").criteria["earlier-layers"]

    def status(*values: float) -> str:
        places = [Place(point=f"vit.block_{n:02d}", reading=reading(v, 0.1)) for n, v in enumerate(values)]
        return decide("", criterion, criterion.levels["go"], places, higher_is_better=True).status

    assert status(0.505) == "met"
    assert status(0.505, 0.1) == "undecided"
    assert status(0.53, 0.1) == "met"
    assert status(0.1, 0.2) == "not met"
    missing = Place(point="vit.block_09", reading=Reading(reason="not cached"))
    low = Place(point="vit.block_01", reading=reading(0.1, 0.01))
    assert decide("", criterion, criterion.levels["go"], [low, missing], higher_is_better=True).status == "not measured"


def verdict(study: str, values: Mapping[str, tuple[float, float] | Reading]) -> Verdict:
    """The verdict where some criteria have a value with half of its interval, and the others none."""
    own, found = load(study), []
    for name, criterion in own.criteria.items():
        value = values.get(name, Reading(reason="not there"))
        place = Place(point="E4", reading=value if isinstance(value, Reading) else reading(*value))
        claims = tuple(
            decide(f"{name}.{level}", criterion, threshold, [place], higher_is_better=None)
            for level, threshold in criterion.levels.items()
        )
        found.append(Found(name=name, criterion=criterion, places=(place,), claims=claims))
    return decide_branch(own.decision, found)


MATRIX = [
    *((0.9, 0.75, "GREEN"), (0.9, 0.6, "YELLOW"), (0.9, 0.4, "RED")),
    *((0.75, 0.75, "YELLOW"), (0.75, 0.6, "YELLOW"), (0.75, 0.4, "RED")),
    *((0.6, 0.75, "RED"), (0.6, 0.6, "RED"), (0.6, 0.4, "RED")),
]
"""IoU before and after the merger, and the cell of SPEC's matrix."""
EDGES = [(0.8, 0.75, "YELLOW"), (0.7, 0.75, "YELLOW"), (0.9, 0.7, "YELLOW"), (0.9, 0.5, "YELLOW")]
"""Values on the thresholds, which belong to the middle ranges."""


@pytest.mark.parametrize(("pre", "post", "branch"), [*MATRIX, *EDGES])
def test_the_matrix_of_q2(pre: float, post: float, branch: str) -> None:
    half = 0.0 if (pre, post, branch) in EDGES else 0.02
    found = verdict("q2", {"pre-merge-iou": (pre, half), "post-merge-iou": (post, half)})
    assert found.name == branch
    assert found.branch
    assert found.possible == (branch,)


def test_an_interval_across_leaves_the_branches_that_are_possible() -> None:
    found = verdict("q2", {"pre-merge-iou": (0.7, 0.05), "post-merge-iou": (0.6, 0.02)})
    assert (found.name, found.possible) == (UNDECIDED, ("RED", "YELLOW"))
    assert [claim.name for claim in found.deciding] == ["pre-merge-iou.fails"]
    sure = verdict("q2", {"pre-merge-iou": (0.7, 0.05), "post-merge-iou": (0.4, 0.02)})
    assert sure.name == "RED"  # whatever the first is
    assert [claim.name for claim in sure.deciding] == ["post-merge-iou.fails"]


def test_what_is_not_measured_leaves_it_open() -> None:
    found = verdict("q2", {"pre-merge-iou": (0.9, 0.02)})
    assert (found.name, found.possible) == (UNDECIDED, ("RED", "GREEN", "YELLOW"))
    assert verdict("pivot1", {"iou": (0.9, 0.02)}).possible == ("GO", "NO-GO", "INVESTIGATE")


def test_what_would_change_it() -> None:
    found = verdict("q2", {"pre-merge-iou": (0.9, 0.02), "post-merge-iou": (0.75, 0.02)})
    assert found.changes == (
        "boxes before the merger below 0.7: RED",
        "boxes before the merger from 0.7 to 0.8: YELLOW",
        "boxes after the merger below 0.5: RED",
        "boxes after the merger from 0.5 to 0.7: YELLOW",
    )


GOOD = {"lpips": (0.3, 0.01), "ssim": (0.8, 0.01), "psnr": (23.0, 0.1), "iou": (0.7, 0.01)}
"""Acceptable values of C1's primary metrics."""
SOUND = {**GOOD, "large-head": (0.3, 0.01), "iou-everywhere": (0.7, 0.01), "training": (0.0, 0.0)}


@pytest.mark.parametrize(
    ("changes", "branch"),
    [
        ({"gap": (0.05, 0.01)}, "GO, post-merge"),
        ({"gap": (0.15, 0.01)}, "GO, pre-merge"),
        ({"gap": (0.3, 0.01)}, "GO, pre-merge"),
        ({"gap": (-0.05, 0.01)}, "PIVOT"),
        ({"gap": (0.05, 0.01), "iou": (0.55, 0.01)}, "INVESTIGATE"),
        ({"gap": (0.05, 0.01), "iou": (0.3, 0.01)}, "PIVOT"),
        ({"gap": (0.05, 0.01), "large-head": (0.6, 0.01)}, "PIVOT"),
        ({"gap": (0.05, 0.01), "large-head": (0.6, 0.01), "iou-everywhere": (0.3, 0.01)}, "ABORT"),
        ({"gap": (0.05, 0.01), "training": (1.0, 0.0)}, "PIVOT"),
        ({"gap": (0.05, 0.01), "lpips": (0.35, 0.0)}, "INVESTIGATE"),
        ({"gap": (0.0, 0.0)}, "PIVOT"),
        ({"gap": (0.1, 0.0)}, "GO, pre-merge"),
        ({"gap": (0.1, 0.05)}, UNDECIDED),
    ],
)
def test_the_branches_of_c1(changes: Mapping[str, tuple[float, float]], branch: str) -> None:
    assert verdict("c1", {**SOUND, **changes}).name == branch


@pytest.mark.parametrize(
    ("iou", "precision", "branch"),
    [
        *((0.5, 0.2, "GO"), (0.4, 0.2, "INVESTIGATE"), (0.5, 0.15, "INVESTIGATE"), (0.5, 0.1, "INVESTIGATE")),
        *((0.3, 0.1, "INVESTIGATE"), (0.2, 0.05, "INVESTIGATE"), (0.3, 0.2, "INVESTIGATE")),
        *((0.1, 0.2, "NO-GO"), (0.5, 0.01, "NO-GO"), (0.1, 0.01, "NO-GO")),
    ],
)
def test_the_branches_of_pivot1(iou: float, precision: float, branch: str) -> None:
    assert verdict("pivot1", {"iou": (iou, 0.0), "map": (precision, 0.0)}).name == branch


def test_every_branch_of_every_study_is_reached() -> None:
    """So that none of the tables above leaves one out."""
    reached = {
        "q2": {branch for *_, branch in MATRIX},
        "c1": {"ABORT", "PIVOT", "GO, post-merge", "GO, pre-merge", "INVESTIGATE"},
        "pivot1": {"GO", "NO-GO", "INVESTIGATE"},
    }
    for name, branches in reached.items():
        assert {branch.name for branch in load(name).decision} == branches


@pytest.mark.parametrize(
    ("value", "band"),
    [(0.81, "excellent"), (0.8, "good"), (0.6, "good"), (0.59, "marginal"), (0.4, "marginal"), (0.39, "poor")],
)
def test_bands_of_the_retention_score(value: float, band: str) -> None:
    assert band_of(load("q2").scores["irs"], value) == band
