"""Answers of a model beside the samples of a cache: in its table, its annotations, and in what is trained from it."""

import hashlib
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from foresight_cache import open_cache, reader
from foresight_cache.errors import AnswersError, ProbeError
from foresight_probes.api import train
from foresight_probes.studies.shared_samples import SharedCache
from tests.support import planted

FIRST = {"p_yes": 0.75, "p_no": 0.125, "entropy": 0.5, "top": [{"id": 5, "text": "Yes", "log_probability": -0.25}]}


def line(slot: int, **others: Any) -> dict[str, Any]:
    return {"id": f"planted/train/{slot:04d}", "answer": f"answer {slot}", "question": "Is it?", **others}


def written(path: Path, *lines: Mapping[str, Any]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    return tmp_path / "C"


def test_what_a_line_says_stands_in_table_and_annotations(place: Path, tmp_path: Path) -> None:
    judged = {"outcome": "wrong", "hallucinated": True, "judge": "rules:pope", "version": "1f", "type": "object"}
    lines = written(tmp_path / "j.jsonl", line(3, **judged, first_token=FIRST, mean_entropy=0.5), line(1))
    cache = open_cache(place, answers=lines)
    table = cache.samples.set_index("id")
    said = table.loc["planted/train/0003"]
    names = ["answer", "outcome", "hallucinated", "judge", "judge_version", "p_yes", "first_token_log_probability"]
    assert said[names].tolist() == ["answer 3", "wrong", True, "rules:pope", "1f", 0.75, -0.25]
    assert (said["first_token_entropy"], said["mean_entropy"]) == (0.5, 0.5)
    assert said["annotations"]["qa"]["type"] == "object"
    assert table.loc["planted/train/0001", "answer"] == "answer 1"
    assert table["answer"].isna().sum() == len(table) - 2
    plain = open_cache(place)
    assert "answer" not in plain.samples.columns
    assert [row["annotations"]["objects"] for row in cache.rows] == [
        row["annotations"]["objects"] for row in plain.rows
    ]


def test_the_answers_go_along_to_other_processes(place: Path, tmp_path: Path) -> None:
    lines = written(tmp_path / "j.jsonl", line(3), line(1))
    cache = open_cache(place, answers=lines)
    for other in (pickle.loads(pickle.dumps(cache)), cache.reopen()):  # noqa: S301 - our own bytes
        assert other.rows == cache.rows
    shared = SharedCache(cache, ["planted/train/0003", "planted/train/0004"])
    assert shared.reopen().rows == shared.rows
    assert [row["id"] for row in shared.reopen().rows if row["status"] == "ok"] == [
        "planted/train/0003",
        "planted/train/0004",
    ]
    sent = pickle.dumps(cache)
    written(lines, line(3))
    reader._sent.cache_clear()  # what was opened in this process is kept
    with pytest.raises(AnswersError, match="other answers"):
        pickle.loads(sent)  # noqa: S301 - our own bytes


def test_answers_of_another_dataset_are_refused(place: Path, tmp_path: Path) -> None:
    foreign = written(tmp_path / "f.jsonl", {"id": "pope/1", "answer": "yes"})
    with pytest.raises(AnswersError, match=r"no answer to any of the 10 samples .* another dataset"):
        open_cache(place, answers=foreign).samples  # noqa: B018


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"name": "planted"}, ""),
        ({"name": "a copy", "weights_digest": "aa"}, ""),
        ({"name": "planted", "weights_digest": "bb"}, "did not give these answers"),
        ({"name": "another"}, "has answers of another, and"),
        ({}, ""),
    ],
)
def test_answers_of_another_model_are_told(tmp_path: Path, model: dict[str, str], told: str) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points(), weights_digest="aa"))
    cache = open_cache(tmp_path / "C", answers=written(tmp_path / "j.jsonl", line(3, model=model)))
    assert cache.answers is not None
    found = cache.answers.foreign_to(cache.fingerprint["model"], cache.path)
    assert (told in found) if told else not found


def answered(tmp_path: Path, hallucinated: Mapping[int, bool | None]) -> Path:
    lines = [line(slot, hallucinated=value) for slot, value in hallucinated.items()]
    name = hashlib.sha256(repr(lines).encode()).hexdigest()[:8]
    return written(tmp_path / f"{name}.jsonl", *lines)


def test_undecided_answers_are_no_labels_and_runs_know_their_answers(tmp_path: Path) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points(), samples=60))
    labels = {slot: None if slot % 5 == 0 else slot % 2 == 0 for slot in range(60)}
    cache = open_cache(tmp_path / "C", answers=answered(tmp_path, labels))
    options = {"points": "vit.block_01", "heads": "pooled-linear", "controls": False, "resamples": 20}
    (result,) = [
        run for run in train(cache, "hallucination", tmp_path / "runs", **options).results if run.point != "constant"
    ][-1:]
    counts = [result.split[side] for side in ("train", "validation", "test")]
    assert sum(counts) == 48
    assert result.cache["answers"]["path"].endswith(".jsonl")
    again = train(cache, "hallucination", tmp_path / "runs", **options)
    assert not any(run.trained_now for run in again.results)
    other = open_cache(tmp_path / "C", answers=answered(tmp_path, {**labels, 1: True}))
    with pytest.raises(ProbeError, match="answers"):
        train(other, "hallucination", tmp_path / "runs", **options)
    with pytest.raises(ProbeError, match="no sample"):
        train(open_cache(tmp_path / "C"), "hallucination", tmp_path / "more", **options)
