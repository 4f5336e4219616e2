"""Sections of halp against cases worked by hand, and against scikit-learn on the stored scores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from foresight_cache.errors import ProbeError
from foresight_probes.hallucination.halp_protocol import halp_protocol
from foresight_probes.hallucination.leave_one_out import leave_one_source_out
from foresight_probes.hallucination.questions import Questions
from foresight_probes.results.result import load_result, load_results
from foresight_probes.splits import split_rows
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.answered_questions import judged_rows, questions_of
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.kept_rows import kept_rows, key_of
from foresight_probes.studies.parts import Lines, Table
from foresight_probes.studies.sections.probe_against_answer import Pairs, intervals
from tests.support.planted_halp import QUICK, carried_out
from tests.support.planted_question_caches import QUERY, TYPES, VISION, World, questions

FUSED = f"{VISION}+{QUERY}"
GROUPS = ("detectors", "fused", "question-alone", "image-alone", "truth")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    world = World(features=0.8, first_token=0.3, images=220, undecided=0.1)
    return carried_out(tmp_path_factory.mktemp("halp"), world, GROUPS, controls=True).findings.evidence


def tables(evidence: Evidence, section: str, **changes: Any) -> list[Table]:
    request = replace(evidence.study.sections[section], **changes)
    return [part for part in sections.load(request.kind).parts(evidence, request) if isinstance(part, Table)]


def by_name(table: Table, *names: int) -> dict[tuple[object, ...], dict[str, Any]]:
    """Rows by the values in some columns, each with its values by the columns' names."""
    return {tuple(row[n] for n in names): dict(zip(table.columns, row, strict=True)) for row in table.values}


def stored(evidence: Evidence, group: str, point: str) -> dict[str, tuple[int, float]]:
    """Label and probability of each tested question by id."""
    [result] = [own for own in evidence.results[group] if own.point == point]
    return {own.id: (int(own.scores[0]), float(expit(own.scores[1]))) for own in result.scores}


def value(cell: Any) -> float:
    assert isinstance(cell, Interval)
    assert cell.low <= cell.value <= cell.high
    return cell.value


def test_label_rates_are_counts_of_the_lines(evidence: Evidence) -> None:
    asked = questions(World(features=0.8, first_token=0.3, images=220, undecided=0.1))
    rates, provenance = tables(evidence, "rates")
    rows = by_name(rates, 0, 1)
    for kind in TYPES:
        outcomes = [own.line["outcome"] for own in asked if own.line["type"] == kind]
        row = rows["type", kind]
        counts = [outcomes.count(name) for name in ("right", "wrong", "undecided")]
        assert [row[name] for name in ("right", "wrong", "undecided")] == counts
        assert row["questions"] == sum(counts)
        assert value(row["hallucinated of decided"]) == pytest.approx(counts[1] / (counts[0] + counts[1]))
    assert rows["all", ""]["questions"] == len(asked)
    assert ("source and type", "first: presence") in rows
    assert ("form of the right answer", "yes or no") not in rows, "all have the same form"
    assert provenance.values == (("rules:any", "v" * 8, len(asked), "planted", "f" * 12),)
    assert "of each of 6 categories (source and type) alone ranks them with an AUROC of 0." in rates.note


def test_detectors_are_measured_on_the_stored_scores(evidence: Evidence) -> None:
    table, _ = tables(evidence, "detection")
    rows = by_name(table, 0)
    for group, title, point in (("detectors", "linear", QUERY), ("fused", "fused vectors", FUSED)):
        truth, probability = np.array(list(stored(evidence, group, point).values())).T
        row = rows[f"{title}, {point.replace('+', ' + ')}",]
        assert value(row["AUROC"]) == pytest.approx(roc_auc_score(truth, probability))
        assert value(row["AUPRC"]) == pytest.approx(average_precision_score(truth, probability))
        bins = np.minimum((15 * probability).astype(int), 14)
        away = [abs((probability - truth)[bins == own].sum()) for own in range(15)]
        assert value(row["calibration error"]) == pytest.approx(sum(away) / len(truth))
        assert f"{len(truth)} questions about" in table.note
        assert f"a share of {truth.mean():.3f} (" in table.note


def test_the_category_is_the_rate_of_what_was_not_tested(evidence: Evidence) -> None:
    """By hand: hallucinated answers of source and type among training and validation, with one more at the mean."""
    cache = evidence.caches["questions"]
    usable = list(range(len(cache.rows)))
    ids, groups = ([row[name] for row in cache.rows] for name in ("id", "group"))
    shares = {"train_share": QUICK.train_share, "validation_share": QUICK.validation_share}
    split = split_rows(usable, ids, groups, **shares)
    known = {row: cache.rows[row]["annotations"]["qa"] for row in judged_rows(cache)}
    seen = [known[row] for row in (*split.train, *split.validation) if row in known]
    mean = sum(qa["hallucinated"] for qa in seen) / len(seen)
    tested, rates = [known[row] for row in split.test if row in known], []
    for qa in tested:
        alike = [own["hallucinated"] for own in seen if (own["source"], own["type"]) == (qa["source"], qa["type"])]
        rates.append((sum(alike) + mean) / (len(alike) + 1))
    expected = roc_auc_score([qa["hallucinated"] for qa in tested], rates)
    table, _ = tables(evidence, "detection")
    rows = by_name(table, 0)
    assert value(rows["category's rate",]["AUROC"]) == pytest.approx(expected)
    assert value(evidence.reading("category", QUERY).interval) == pytest.approx(expected)
    own = value(rows[f"linear, {QUERY}",]["AUROC"])
    assert value(rows[f"linear, {QUERY}",]["less category's rate"]) == pytest.approx(own - expected)
    assert value(evidence.reading("over-category", QUERY).interval) == pytest.approx(own - expected)
    entropies = [qa["first_token_entropy"] for qa in tested]
    of_entropy = rows["entropy of the first token",]["AUROC"]
    assert value(of_entropy) == pytest.approx(roc_auc_score([qa["hallucinated"] for qa in tested], entropies))


def test_controls_stand_beside_each_vector(evidence: Evidence) -> None:
    table, controls = tables(evidence, "detection")
    rows = by_name(table, 0)
    [result] = [own for own in evidence.results["detectors"] if own.point == QUERY]
    path = Path(str(result.scores_source)).parents[2]
    for control, name in (("shuffled", "shuffled labels"), ("random-twin", "random weights")):
        beside = load_result(path / "controls" / control / "hallucination" / QUERY / f"{result.run}.json")
        assert value(by_name(controls, 0)[f"linear, {QUERY}",][name]) == pytest.approx(beside.metrics["auroc"].value)
    assert not any("alone" in name for (name,) in by_name(controls, 0)), "these have no controls of their own"
    assert value(rows[f"image alone, {VISION}",]["AUROC"]) < 0.65
    assert value(rows[f"question alone, {QUERY}",]["AUROC"]) > 0.65


def test_within_groups_is_the_mean_over_categories(evidence: Evidence) -> None:
    means, kinds = tables(evidence, "within")
    cache = evidence.caches["questions"]
    qa = {row["id"]: row["annotations"]["qa"] for row in cache.rows}
    scores = stored(evidence, "detectors", QUERY)
    for column, names, key in (
        ("within categories", ("source", "type"), "category"),
        ("within types", ("type",), "type"),
        ("within sources", ("source",), "source"),
    ):
        aurocs = {}
        for kind in {tuple(qa[name][field] for field in names) for name in scores}:
            own = [pair for name, pair in scores.items() if tuple(qa[name][field] for field in names) == kind]
            truth = [label for label, _ in own]
            if min(sum(truth), len(truth) - sum(truth)) >= 5:
                aurocs[": ".join(kind)] = roc_auc_score(truth, [score for _, score in own])
        row = by_name(means, 0)[f"linear, {QUERY}",]
        assert value(row[column]) == pytest.approx(np.mean(list(aurocs.values())))
        for name, auroc in aurocs.items():
            assert value(by_name(kinds, 0, 1)[key, name]["AUROC"]) == pytest.approx(auroc)
    assert value(evidence.reading("within", QUERY).interval) == pytest.approx(value(row_of(means)["within categories"]))
    assert by_name(means, 0)["category's rate",]["within categories"].value == pytest.approx(0.5)
    assert kinds.note.startswith("The features carry the label beyond the category")


def row_of(table: Table) -> dict[str, Any]:
    return by_name(table, 0)[f"linear, {QUERY}",]


def test_a_source_is_tested_by_what_has_not_seen_it(evidence: Evidence) -> None:
    [table] = tables(evidence, "sources", points=(QUERY,))
    cache = evidence.caches["questions"]
    rows = judged_rows(cache)
    vectors = np.stack([cache[QUERY][row][0] for row in rows])
    expected = leave_one_source_out(vectors, questions_of(cache, rows))
    assert [row[0] for row in table.values] == ["first", "second"]
    assert table.title == f"linear, {QUERY}"
    for row, own in zip(table.values, expected, strict=True):
        assert row[1:5] == (own.samples, own.positives, own.trained_on, own.metrics and own.metrics.auroc)


@pytest.mark.slow
def test_the_first_protocol_is_the_published_one(evidence: Evidence) -> None:
    [table] = tables(evidence, "protocol", points=(QUERY,))
    cache = evidence.caches["questions"]
    rows = judged_rows(cache)
    labels = questions_of(cache, rows).labels_N
    detection = halp_protocol(np.stack([cache[QUERY][row][0] for row in rows]), labels)
    first, *others = table.values
    assert first[:2] == ("the paper's protocol", "nothing")
    assert value(first[2]) == pytest.approx(roc_auc_score(labels[detection.division.test], detection.probabilities))
    assert {row[1] for row in others} == {"this alone", "this and all above"}
    [run] = [own for own in evidence.results["detectors"] if own.point == QUERY]
    runs = Path(str(run.scores_source)).parents[2]
    assert list(runs.glob(f"hallucination/{QUERY}/*.protocol.jsonl")), "they are not made again"
    assert len(load_results(runs)) > 1, "what lies beside runs is not taken for one"
    assert tables(evidence, "protocol", points=(QUERY,)) == [table]


def test_a_probe_that_knows_what_the_model_does_not_say() -> None:
    """Worked by hand: eight questions, of which the model is wrong about four."""
    pairs = Pairs(
        probe_S=np.array([1.0, 1, 1, 0, 1, 1, 0, 1]),
        model_S=np.array([1.0, 1, 1, 1, 0, 0, 0, 0]),
        truth_S=np.array([0.0, 0, 1, 1, 0, 1, 1, 1]),
        constant_S=np.array([0.0, 0, 1, 1, 0, 1, 1, 1]),
        groups=tuple("abcdefgh"),
    )
    found = {name: own.value for name, own in intervals(pairs, resamples=50).items()}
    assert found == pytest.approx(
        {
            **{"model": 0.5, "probe": 0.75, "probe less model": 0.25, "right": 0.75, "wrong": 0.75},
            **{"right less wrong": 0.0, "constant": 0.75},
            "by truth": ((2 / 2 - 1 / 1) + (1 / 2 - 2 / 3)) / 2,
        }
    )


def test_probe_and_answer_are_of_the_same_questions(evidence: Evidence) -> None:
    table, apart = tables(evidence, "silent")
    row, parted = (by_name(own, 0)[f"right answer, {QUERY}",] for own in (table, apart))
    cache = evidence.caches["questions"]
    qa = {own["id"]: own["annotations"]["qa"] for own in cache.rows}
    [result] = [own for own in evidence.results["truth"] if own.point == QUERY]
    judged = {own.id: own.scores[0] for own in result.scores if qa[own.id].get("hallucinated") is not None}
    right = [score for name, score in judged.items() if not qa[name]["hallucinated"]]
    wrong = [score for name, score in judged.items() if qa[name]["hallucinated"]]
    assert row["questions"] == len(judged)
    assert value(row["model right"]) == pytest.approx(len(right) / len(judged))
    assert value(parted["model right"]) == pytest.approx(np.mean(right))
    assert value(parted["model wrong"]) == pytest.approx(np.mean(wrong))
    assert np.mean(wrong) > 0.85, "the right answer was planted, whatever the model says"
    counting, _ = tables(evidence, "silent", types=("counting",))
    of_type = [name for name in judged if qa[name]["type"] == "counting"]
    assert by_name(counting, 0)[f"right answer, {QUERY}",]["questions"] == len(of_type)


def test_sections_say_why_they_cannot_be_made(evidence: Evidence) -> None:
    def reason(section: str, **changes: Any) -> str:
        with pytest.raises(ProbeError) as raised:
            tables(evidence, section, **changes)
        return str(raised.value)

    assert "number of objects: left out of this test" in reason("silent-numbers")
    assert "network of HALP: left out of this test" in reason("detection", measures=("auroc-of-network",))
    assert "right-answer is no measure of the task hallucination" in reason("within", measures=("right-answer",))
    assert "auroc is no measure of accuracy" in reason("silent", measures=("auroc",))
    assert "no cache of nothing was given" in reason("rates", datasets=("nothing",))


def test_layers_are_drawn_where_there_are_several(evidence: Evidence) -> None:
    request = evidence.study.sections["detection"]
    parts = sections.load(request.kind).parts(evidence, request)
    assert not any(isinstance(part, Lines) for part in parts), "one layer alone was cached"


def test_rows_that_take_minutes_are_made_once_for_the_same_vectors(tmp_path: Path) -> None:
    made: list[str] = []

    def rows(name: str) -> tuple[tuple[Any, ...], ...]:
        made.append(name)
        return ((name, 1, 0.5, None, Interval(0.5, 0.25, 0.75)),)

    path = tmp_path / "rows.jsonl"
    first = kept_rows(path, "a", lambda: rows("a"))
    assert kept_rows(path, "a", lambda: rows("again")) == first == (("a", 1, 0.5, None, Interval(0.5, 0.25, 0.75)),)
    assert kept_rows(path, "b", lambda: rows("b"))[0][0] == "b"
    path.write_text("{")
    assert kept_rows(path, "b", lambda: rows("c"))[0][0] == "c"
    assert made == ["a", "b", "c"]
    vectors = np.eye(2)
    asked = Questions(labels_N=np.array([0, 1]), images=["i", "j"], categories=["c", "c"], sources=["s", "s"])
    other = Questions(labels_N=np.array([1, 0]), images=["i", "j"], categories=["c", "c"], sources=["s", "s"])
    keys = {key_of(vectors, asked), key_of(vectors, other), key_of(2 * vectors, asked), key_of(vectors, asked, "2")}
    assert len(keys) == 4
