"""`foresight judge`: answers of a file, with rules, people and tables."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import foresight, said

ANSWERS: list[dict[str, Any]] = [
    {"id": "a/1", "question": "A dog?", "answer": "Yes.", "references": ["yes"], "type": "object", "source": "pope"},
    {
        "id": "a/2",
        "question": "A cat?",
        "answer": "I know one.",
        "references": ["no"],
        "type": "object",
        "source": "pope",
    },
    {"id": "a/3", "question": "Is it red?", "answer": "Yes", "references": ["no"], "type": "colour", "source": "amber"},
    {"id": "a/4", "question": "Is it blue?", "answer": None, "references": ["no"], "type": "colour", "source": "amber"},
    {"id": "a/5", "question": "Is it big?", "answer": "No", "references": ["yes"], "type": "colour", "source": "amber"},
]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n\n" for line in lines))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    return write(tmp_path / "answers.jsonl", ANSWERS)


def test_each_line_tells_its_outcome_its_reason_and_its_judge(answers: Path, tmp_path: Path) -> None:
    run = foresight("judge", answers, "--rules", "pope", "--out", tmp_path / "judged.jsonl")
    assert run.returncode == 0, run.stderr
    lines = read(tmp_path / "judged.jsonl")
    assert [line["outcome"] for line in lines] == ["right", "undecided", "wrong", "undecided", "wrong"]
    assert [line["hallucinated"] for line in lines] == [False, None, True, None, True]
    assert [line["reason"] for line in lines][2:4] == ["says yes, not no", "there is no answer"]
    assert {(line["judge"], len(line["version"])) for line in lines} == {("rules:pope", 64)}
    assert all(line.items() >= answer.items() for line, answer in zip(lines, ANSWERS, strict=True)), "fields are kept"
    again = foresight("judge", answers, "--rules", "pope", "--out", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "judged.jsonl").read_bytes()
    assert again.stdout == run.stdout


def test_rates_are_counted_by_hand(answers: Path, tmp_path: Path) -> None:
    run = foresight("judge", answers, "--rules", "pope", "--out", tmp_path / "judged.jsonl", "--json")
    rows = {(row["by"], row["value"]): row for row in json.loads(run.stdout)}
    counts = {key: [row[name] for name in ("answers", "right", "wrong", "undecided")] for key, row in rows.items()}
    assert counts == {
        ("all", ""): [5, 1, 2, 2],
        ("source", "amber"): [3, 0, 2, 1],
        ("source", "pope"): [2, 1, 0, 1],
        ("type", "colour"): [3, 0, 2, 1],
        ("type", "object"): [2, 1, 0, 1],
    }
    assert rows["all", ""]["wrong_rate"] == pytest.approx(2 / 3)
    table = foresight("judge", answers, "--rules", "pope", "--out", tmp_path / "judged.jsonl").stdout
    assert "66.7 %" in table.splitlines()[1]


def test_what_stays_undecided_goes_to_a_person_and_comes_back(answers: Path, tmp_path: Path) -> None:
    out, opened = tmp_path / "judged.jsonl", tmp_path / "open.jsonl"
    words = ["judge", answers, "--rules", "pope", "--out", out]
    foresight(*words, "--export-undecided", opened)
    asked = read(opened)
    assert [(line["id"], line["answer"], line["hallucinated"]) for line in asked] == [
        ("a/2", "I know one.", None),
        ("a/4", None, None),
    ]
    asked[0] |= {"hallucinated": True, "judge": "Ada", "version": "2026-11", "note": "claims a cat"}
    run = foresight(*words, "--import", write(tmp_path / "filled.jsonl", asked))
    assert run.returncode == 0, run.stderr
    second, fourth = read(out)[1], read(out)[3]
    assert [second[name] for name in ("outcome", "judge", "version", "reason")] == [
        *("wrong", "Ada", "2026-11", "claims a cat")
    ]
    assert fourth["outcome"] == "undecided", "null decides nothing"


def test_a_person_goes_before_the_rules_and_that_is_said(answers: Path, tmp_path: Path) -> None:
    other = [{"id": "a/1", "hallucinated": True, "judge": "Ada"}, {"id": "a/3", "hallucinated": True, "judge": "Ada"}]
    run = foresight(
        *("judge", answers, "--rules", "pope", "--out", tmp_path / "judged.jsonl"),
        *("--import", write(tmp_path / "other.jsonl", other)),
    )
    assert "and the rules decide differently on 1 answers, such as 'a/1'; what was imported stands" in run.stderr
    assert [line["hallucinated"] for line in read(tmp_path / "judged.jsonl")] == [True, None, True, None, True]


def test_a_folder_of_several_files(tmp_path: Path) -> None:
    (tmp_path / "answers").mkdir()
    write(tmp_path / "answers/000001.jsonl", ANSWERS[2:])
    write(tmp_path / "answers/000000.jsonl", ANSWERS[:2])
    assert (
        foresight("judge", tmp_path / "answers", "--rules", "any", "--out", tmp_path / "judged.jsonl").returncode == 0
    )
    assert [line["id"] for line in read(tmp_path / "judged.jsonl")] == [line["id"] for line in ANSWERS]


def test_an_answer_that_was_cut_is_read_as_far_as_it_says_something(tmp_path: Path) -> None:
    cut: list[dict[str, Any]] = [
        {"id": "1", "answer": "Yes, there is a", "references": ["yes"], "finish": "length"},
        {"id": "2", "answer": "I count 2", "references": ["20"], "finish": "length"},
        {"id": "3", "answer": "I count 2", "references": ["20"], "finish": "stop"},
    ]
    foresight("judge", write(tmp_path / "a.jsonl", cut), "--rules", "any", "--out", tmp_path / "judged.jsonl")
    assert [line["outcome"] for line in read(tmp_path / "judged.jsonl")] == ["right", "undecided", "wrong"]


BAD: dict[str, tuple[str, str]] = {
    "no JSON": ("{", r"line 1 is no JSON"),
    "no number of JSON": ('{"id": "1", "answer": "yes", "p": NaN}', "is no JSON (NaN is none of its values)"),
    "no object": ("[1]", "line 1 is a JSON list, expected an object"),
    "no id": ('{"answer": "yes"}', "line 1 has the id None, expected a text"),
    "no answer": ('{"id": "1"}', "has the answer None, expected a text, or null where there is none"),
    "half a character": ('{"id": "1", "answer": "\\ud800"}', "has the answer '\\ud800', expected a text"),
    "references that are no list": (
        '{"id": "1", "answer": "a", "references": "a"}',
        "has the references 'a', expected",
    ),
    "a type that is no text": ('{"id": "1", "answer": "a", "type": 7}', "has the type 7, expected a text"),
    "twice the same": (
        '{"id": "1", "answer": "a"}\n{"id": "1", "answer": "b"}',
        "line 2 has the id '1' of an earlier line",
    ),
    "two models": (
        '{"id": "1", "answer": "a", "model": "x"}\n{"id": "2", "answer": "b", "model": "y"}',
        'holds answers of 2 models, such as "x"; judge one alone',
    ),
    "nothing": ("\n", "holds no answers"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_answers_are_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    text, sentence = BAD[name]
    (tmp_path / "a.jsonl").write_text(text)
    told = said("judge", tmp_path / "a.jsonl", "--rules", "any", "--out", tmp_path / "judged.jsonl", status=1)
    assert sentence in told
    assert told.count("\n") == 1
    assert not (tmp_path / "judged.jsonl").exists()


BAD_JUDGEMENTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "of others": ([{"id": "b/1", "hallucinated": True, "judge": "x"}], "1 of 1 judgements are of answers that are not"),
    "contradiction": (
        [{"id": "a/2", "hallucinated": True, "judge": "x"}, {"id": "a/2", "hallucinated": False, "judge": "y"}],
        "line 3 contradicts an earlier line on the answer 'a/2'",
    ),
    "a text": ([{"id": "a/2", "hallucinated": "yes", "judge": "x"}], "has the 'hallucinated' 'yes', expected true"),
    "missing": ([{"id": "a/2", "judge": "x"}], "has the 'hallucinated' None, expected true, false or null"),
    "nobody": ([{"id": "a/2", "hallucinated": True, "judge": ""}], "has the judge '', expected a text: who says so"),
    "a note of numbers": (
        [{"id": "a/2", "hallucinated": True, "judge": "x", "note": 7}],
        "has the note 7, expected a text",
    ),
}


@pytest.mark.parametrize("name", BAD_JUDGEMENTS)
def test_bad_judgements_are_refused_in_a_sentence(name: str, answers: Path, tmp_path: Path) -> None:
    lines, sentence = BAD_JUDGEMENTS[name]
    words = ["judge", answers, "--rules", "pope", "--out", tmp_path / "judged.jsonl", "--import"]
    assert sentence in said(*words, write(tmp_path / "i.jsonl", lines), status=1)
    assert not (tmp_path / "judged.jsonl").exists()


def test_no_file_is_written_over(answers: Path, tmp_path: Path) -> None:
    before = answers.read_bytes()
    assert "name one file twice" in said("judge", answers, "--rules", "pope", "--out", answers, status=2)
    assert answers.read_bytes() == before
    assert "there is no" in said("judge", tmp_path / "x", "--rules", "pope", "--out", tmp_path / "j", status=1)
    assert "did you mean 'pope'" in said("judge", answers, "--rules", "popes", "--out", tmp_path / "j", status=2)
