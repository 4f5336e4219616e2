"""What is checked of an instrument: the forms that its head declares."""

import pytest

from foresight_cache.errors import UnknownName
from foresight_probes import tasks
from foresight_probes.calibration.checks import (
    FULL,
    QUICK,
    Check,
    Extent,
    Instrument,
    checks,
    instruments,
    reference_head,
)
from foresight_probes.calibration.geometries import GEOMETRIES
from foresight_probes.calibration.questions import QUESTIONS


def of(task: str, head: str, extent: Extent = FULL) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for check in checks(Instrument(task=task, head=head), extent):
        found.setdefault(check.rule, []).append(check)
    return found


def names(found: list[Check]) -> list[str]:
    return [str(check.point) for check in found]


def test_every_task_has_a_question() -> None:
    assert set(tasks.names()) <= QUESTIONS.keys(), "add the task to foresight_probes/calibration/questions.py"


def test_every_default_head_of_every_task_is_checked() -> None:
    found = {(own.task, own.head) for own in instruments(FULL)}
    assert found == {(name, head) for name in tasks.names() for head in tasks.load(name).heads}
    for task, head in found:
        assert {"present", "absent"} <= of(task, head).keys(), f"{task} with {head}"


def test_a_head_on_the_mean_reads_what_all_tokens_share_and_one_on_tokens_what_each_has() -> None:
    assert names(of("boxes", "pooled-linear")["present"]) == ["lists.linear"]
    assert names(of("boxes", "token-linear")["present"]) == ["objects.linear"]


def test_only_heads_that_are_not_linear_are_asked_for_products() -> None:
    assert names(of("boxes", "mlp")["present"]) == ["lists.linear", "lists.product"]
    assert names(of("boxes", "mlp")["product"]) == [f"lists.product.{name}" for name in ("base", "aniso", "llm")]
    assert "product" not in of("boxes", "token-linear")
    assert names(of("reconstruction", "conv-decoder")["present"]) == ["picture.linear", "picture.token_product"]


def test_geometries_are_all_nine_unless_the_question_is_another_in_some() -> None:
    fair = of("patch-class", "token-linear")["fair"]
    assert names(fair) == [f"objects.token_snr.{name}" for name in GEOMETRIES]
    assert [check.cache.rows for check in fair] == [8, 8, 8, 16, 8, 8, 8, 8, 8]
    averaged, shared = of("boxes", "token-linear")["fair"], of("boxes", "pooled-linear")["fair"]
    assert [check.cache.rows for check in averaged] == [8] * 8
    assert sorted(check.cache.rows for check in shared) == [4] * 8 + [8]
    assert len(of("edges", tasks.load("edges").heads[0])["fair"]) == 8
    assert "fair" not in of("next-frame", "temporal-token-linear")
    assert "known" not in of("naive-boxes", "pooled-linear")


def test_few_samples_are_checked_of_trained_heads_beside_a_closed_form() -> None:
    few = of("hallucination", "mlp-512-256-128")["few"]
    assert [check.cache.train for check in few] == [137, 137]
    assert reference_head(Instrument(task="hallucination", head="mlp-512-256-128")) == "logistic"
    assert reference_head(Instrument(task="hallucination", head="pooled-linear")) is None
    named = [
        reference_head(Instrument(task=task, head=head)) for task, head in (("boxes", "mlp"), ("edges", "conv-decoder"))
    ]
    assert named == ["pooled-linear", "token-linear"]
    assert "few" not in of("boxes", "token-linear")


def test_a_product_is_asked_of_boxes_where_there_is_one() -> None:
    found = of("boxes", "mlp")
    worlds = {str(check.point): check.cache.world for rule in ("present", "product") for check in found[rule]}
    assert {name for name, world in worlds.items() if world == "single"} == {
        name for name in worlds if "product" in name
    }
    assert worlds["lists.linear"] == "several"


def test_points_of_a_check_use_the_same_test_samples() -> None:
    found = checks(Instrument(task="hallucination", head="mlp-512-256-128"), FULL)
    assert len({tuple(check.cache.numbers("test")) for check in found}) == 1


def test_the_quick_way_checks_solved_heads_and_one_trained_head_of_each_task() -> None:
    assert [own.head for own in instruments(QUICK, ["boxes"])] == ["pooled-linear"]
    assert [own.head for own in instruments(QUICK, ["hallucination"])] == ["pooled-linear", "mlp-512-256-128"]
    assert names(checks(Instrument(task="boxes", head="pooled-linear"), QUICK)) == ["lists.linear", "nothing.linear"]
    solved = of("counting", "pooled-linear", QUICK)
    assert names(solved["fair"]) == [f"answers.mild_snr.{name}" for name in ("base", "outch", "aniso")]
    assert names(solved["absent"]) == ["nothing.linear"]


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(UnknownName, match="bxes"):
        instruments(FULL, ["bxes"])
